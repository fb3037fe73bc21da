"""`winslow files`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say
from winslow_dagster.cli.remote import server_of

if TYPE_CHECKING:
    from winslow_dagster.api import Winslow
    from winslow_dagster.client import WinslowClient
    from winslow_dagster.projects.domain.views import ProjectFile


@click.command("files")
@click.argument("project")
@click.option("--stage", help="Only files of this stage.")
@click.option("--attempt", help="With --stage: files of this attempt, by number or task id.")
@click.option(
    "--pipeline", metavar="NAME", help="Only files of this pipeline; by default, of all that PROJECT ran through."
)
@click.option("--get", "target", type=click.Path(file_okay=False, path_type=Path), help="Copy them to this directory.")
@click.option(
    "--archive",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to this new file, NAME.tar or NAME.zip, without compressing them.",
)
@click.option(
    "--from",
    "address",
    metavar="ADDRESS",
    help="With --archive: get it from this server, such as https://winslow.example:3000. The token is read from "
    "WINSLOW_TOKEN. Repeated after an interruption, it goes on where it stopped.",
)
@json_option
def command(  # noqa: PLR0913, PLR0917  # click hands over each option, by name
    project: str,
    stage: str | None,
    attempt: str | None,
    pipeline: str | None,
    target: Path | None,
    archive: Path | None,
    address: str | None,
    *,
    as_json: bool,
) -> None:
    """List the output files of PROJECT, copy them to DIRECTORY/STAGE/…, or write them to one archive.

    With --json, {"files": [{"pipeline", "stage", "path", "size_bytes", "blake3", "address", "stored_path",
    "local_path"}, …]}; with --get, local_path is the copy. With --archive, {"archive", "size_bytes"}.
    """
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.formatting import format_size

    if archive is not None:
        if target is not None:
            raise click.UsageError("--get and --archive exclude each other")
        _archive(project, stage, attempt, pipeline, archive, address=address, as_json=as_json)
        return
    if address is not None:
        raise click.UsageError("--from is for --archive")
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


def _archive(  # noqa: PLR0913  # the command's own options
    project: str,
    stage: str | None,
    attempt: str | None,
    pipeline: str | None,
    target: Path,
    *,
    address: str | None,
    as_json: bool,
) -> None:
    from winslow_dagster.cli.progress import transfer_bars
    from winslow_dagster.formatting import format_size
    from winslow_dagster.storage.archives import FORMATS

    form = next((form for form, kind in FORMATS.items() if kind.suffix == target.suffix.lower()), None)
    if form is None:
        raise click.BadParameter(
            f"{target.name!r} ends in neither {' nor '.join(kind.suffix for kind in FORMATS.values())}",
            param_hint="--archive",
        )
    opened: AbstractContextManager[Winslow | WinslowClient]
    if address is None:
        opened = open_installation()
    else:
        from winslow_dagster.client import WinslowClient

        opened = WinslowClient(*server_of(address))
    with opened as winslow, transfer_bars("writing") as bars:
        handle = winslow.project(project)
        written = handle.download(target, stage, attempt, pipeline=pipeline, form=form, started=bars)
    size_bytes = written.stat().st_size
    if as_json:
        print_json({"archive": str(written), "size_bytes": size_bytes})
    else:
        say(f"{written} has {format_size(size_bytes)}")


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
