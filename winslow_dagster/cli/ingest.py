"""`winslow ingest`."""

from __future__ import annotations

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say


@click.group("ingest")
def command() -> None:
    """List watched folders and the files found in them, and retry or dismiss rejected files."""


@command.command("list")
@click.option("--watch", help="Only files of this watch.")
@click.option("--state", help="Only files in this state.")
@json_option
def list_all(watch: str | None, state: str | None, *, as_json: bool) -> None:
    """List the files found in watched folders, with their projects, or why they have none.

    State is receiving, ready, importing, starting, running, done, rejected, failed or dismissed.
    With --json, {"files": [{"id", "watch", "path", "size_bytes", "modified", "state", "reason", "project", "run_id",
    "seen_at", "unchanged_since", "state_since"}, …]}.
    """
    from winslow_dagster.projects.domain.ingest import STATES

    if state is not None and state not in STATES:
        raise click.BadParameter(f"{state!r} is not one of {', '.join(STATES)}", param_hint="--state")
    with open_installation() as winslow:
        found = winslow.ingest.files(watch=watch, state=state)
        watches = winslow.ingest.watches()
        watch_file = winslow.settings.watch_file
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif found.files:
        print_table(
            ("id", "watch", "path", "state", "project", "reason"),
            [
                (str(file.id), file.watch, file.path, file.state, file.project or "", file.reason)
                for file in found.files
            ],
        )
    elif watches:
        console().print("no files found yet")
    else:
        console().print(f"no folders are watched; add some to {watch_file}", markup=False)


@command.command("folders")
@json_option
def folders(*, as_json: bool) -> None:
    """List the watched folders, how many files each has in each state, and what keeps one from being used.

    With --json, {"watch_file", "problem", "folders": [{"name", "watched", "source", "pipeline", "glob",
    "stable_for_s", "max_concurrent", "auto_start", "quarantine_dir", "counts", "problem", "problem_since"}, …]}.
    """
    with open_installation() as winslow:
        found = winslow.ingest.folders()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if found.problem:
        say(found.problem)
    if not found.folders:
        console().print(f"no folders are watched; add some to {found.watch_file}", markup=False)
        return
    print_table(
        ("watch", "source", "pipeline", "files", "problem"),
        [
            (
                folder.name,
                folder.source or ("" if folder.watched else "(no longer watched)"),
                folder.pipeline,
                ", ".join(f"{number} {state}" for state, number in folder.counts.items()) or "none",
                folder.problem,
            )
            for folder in found.folders
        ],
    )


@command.command("dismiss")
@click.argument("file", metavar="ID", type=int)
@json_option
def dismiss(file: int, *, as_json: bool) -> None:
    """Take note of the rejected or failed file with the id ID: it waits for nobody, until its content changes.

    With --json, the file, as in the list.
    """
    from pydantic_core import to_jsonable_python

    with open_installation() as winslow:
        dismissed = winslow.ingest.dismiss(file)
    if as_json:
        print_json(to_jsonable_python(dismissed))
    else:
        say(f"{dismissed.path} waits for nobody; `{command_line('ingest', 'retry', str(file))}` starts over with it")


@command.command("retry")
@click.argument("file", metavar="ID", type=int)
@json_option
def retry(file: int, *, as_json: bool) -> None:
    """Retry the rejected, failed or dismissed file with the id ID in the list.

    With --json, the file, as in the list.
    """
    from pydantic_core import to_jsonable_python

    with open_installation() as winslow:
        retried = winslow.ingest.retry(file)
    if as_json:
        print_json(to_jsonable_python(retried))
    else:
        say(f"{retried.path} is ingested once it is complete")
