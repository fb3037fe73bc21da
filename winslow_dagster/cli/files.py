"""`winslow files`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import ProjectFile


@click.command("files")
@click.argument("project")
@click.option("--stage", help="Only files of this stage.")
@click.option("--attempt", help="With --stage: files of this attempt, by number or task id.")
@click.option(
    "--pipeline", metavar="NAME", help="Only files of this pipeline; by default, of all that PROJECT ran through."
)
@click.option("--get", "target", type=click.Path(file_okay=False, path_type=Path), help="Copy them to this directory.")
@json_option
def command(  # noqa: PLR0913  # click hands over each option, by name
    project: str, stage: str | None, attempt: str | None, pipeline: str | None, target: Path | None, *, as_json: bool
) -> None:
    """List the output files of PROJECT, or copy them to DIRECTORY/STAGE/….

    With --json, {"files": [{"pipeline", "stage", "path", "size_bytes", "blake3", "address", "stored_path",
    "local_path"}, …]}; with --get, local_path is the copy.
    """
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.formatting import format_size

    with open_installation() as winslow:
        handle = winslow.project(project)
        files = handle.files(stage, attempt, pipeline=pipeline)
        if target is not None:
            _require_one_pipeline_per_stage(files)
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
        ("pipeline", "stage", "file", "size", "path"),
        [
            (
                file.pipeline,
                file.stage,
                file.path,
                format_size(file.size_bytes),
                str(file.local_path or "(copy it with --get)"),
            )
            for file in files
        ],
    )


def _require_one_pipeline_per_stage(files: Iterable[ProjectFile]) -> None:
    """Raise InputRejected if files of two pipelines would be copied into one directory."""
    from winslow_dagster.errors import InputRejected

    pipelines: dict[str, str] = {}
    for file in files:
        other = pipelines.setdefault(file.stage, file.pipeline)
        if other != file.pipeline:
            raise InputRejected(
                f"the pipelines {other} and {file.pipeline} both have a stage {file.stage}",
                expected=f"--pipeline {other} or --pipeline {file.pipeline}",
            )
