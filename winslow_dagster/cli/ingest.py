"""`winslow ingest`."""

from __future__ import annotations

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table, say


@click.group("ingest")
def command() -> None:
    """List files found in watched folders, and retry rejected ones."""


@command.command("list")
@click.option("--watch", help="Only files of this watch.")
@click.option("--state", help="Only files in this state.")
@json_option
def list_all(watch: str | None, state: str | None, *, as_json: bool) -> None:
    """List the files found in watched folders, with their projects, or why they have none.

    State is receiving, ready, importing, starting, running, done, rejected or failed.
    With --json, {"files": [{"id", "watch", "path", "size_bytes", "modified", "state", "reason", "project", "run_id",
    "seen_at", "unchanged_since", "state_since"}, …]}.
    """
    from winslow_dagster.projects.ingest.table import STATES

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


@command.command("retry")
@click.argument("file", metavar="ID", type=int)
@json_option
def retry(file: int, *, as_json: bool) -> None:
    """Retry the rejected or failed file with the id ID in the list.

    With --json, the file, as in the list.
    """
    from pydantic_core import to_jsonable_python

    with open_installation() as winslow:
        retried = winslow.ingest.retry(file)
    if as_json:
        print_json(to_jsonable_python(retried))
    else:
        say(f"{retried.path} is ingested once it is complete")
