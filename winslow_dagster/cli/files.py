"""`winslow files`."""

from __future__ import annotations

from pathlib import Path

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table


@click.command("files")
@click.argument("project")
@click.option("--stage", help="Only files of this stage.")
@click.option("--attempt", help="With --stage: files of this attempt, by number or task id.")
@click.option("--get", "target", type=click.Path(file_okay=False, path_type=Path), help="Copy them to this directory.")
@json_option
def command(project: str, stage: str | None, attempt: str | None, target: Path | None, *, as_json: bool) -> None:
    """List the output files of PROJECT, or copy them to DIRECTORY/STAGE/….

    With --json, {"files": [{"stage", "path", "size_bytes", "blake3", "address", "stored_path", "local_path"}, …]};
    with --get, local_path is the copy.
    """
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        handle = winslow.project(project)
        files = handle.files(stage, attempt)
        if target is not None:
            with transfer_bars("copying") as bars:
                files = tuple(
                    file.model_copy(
                        update={
                            "local_path": handle.fetch(file, target, bars(file.path, file.size_bytes) if bars else None)
                        }
                    )
                    for file in files
                )
    if as_json:
        print_json({"files": [file.model_dump(mode="json") for file in files]})
        return
    print_table(
        ("stage", "file", "size", "path"),
        [
            (file.stage, file.path, format_size(file.size_bytes), str(file.local_path or "(copy it with --get)"))
            for file in files
        ],
    )
