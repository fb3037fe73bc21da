"""`winslow ingest`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from winslow_dagster.cli.output import console, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.ingest.table import Landing


@click.group("ingest")
def command() -> None:
    """List what landed in watched places, and try again what was set aside."""


@command.command("list")
@click.option("--watch", help="Only what landed in this one.")
@click.option("--state", help="Only what is in this state.")
@json_option
def list_all(watch: str | None, state: str | None, *, as_json: bool) -> None:
    """List what landed in watched places, and why it is no project where it is none.

    State is growing, waiting, taking, launching, running, taken, set_aside or failed.
    With --json, {"landings": [{"id", "watch", "path", "size_bytes", "modified", "state", "reason", "project",
    "run_id", "seen_at", "steady_since", "settled_at"}, …]}.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.ingest.config import load_watches
    from winslow_dagster.projects.ingest.table import STATES, Landings

    if state is not None and state not in STATES:
        raise click.BadParameter(f"{state!r} is none of {', '.join(STATES)}", param_hint="--state")
    with Winslow() as winslow:
        found = Landings(winslow.records.database).all(
            watch=watch, states=[known for known in STATES if state in {None, known}]
        )
        watches = load_watches(winslow.settings.watch_file)
    if as_json:
        print_json({"landings": [_as_json(landing) for landing in found]})
        return
    if found:
        print_table(
            ("id", "watch", "path", "state", "project", "why"),
            [(str(one.id), one.watch, one.path, one.state, one.project or "", one.reason) for one in found],
        )
    elif watches:
        console().print("nothing landed yet")
    else:
        console().print(f"nothing is watched: say what in {winslow.settings.watch_file}", markup=False)


@command.command("retry")
@click.argument("landing", metavar="ID", type=int)
@json_option
def retry(landing: int, *, as_json: bool) -> None:
    """Look again at file ID of the list, which was set aside or has failed.

    With --json, the landing, as in the list.
    """
    from datetime import UTC, datetime

    from winslow_dagster import Winslow
    from winslow_dagster.projects.ingest.table import Landings

    with Winslow() as winslow:
        again = Landings(winslow.records.database).retry(landing, datetime.now(UTC))
        winslow.context.audit("retry_landing", again.project, landing=again.id, path=again.path)
    if as_json:
        print_json(_as_json(again))
    else:
        say(f"{again.path} is looked at again once it has settled")


def _as_json(landing: Landing) -> dict[str, Any]:
    times = ("seen_at", "steady_since", "settled_at")
    row = asdict(landing)
    return row | {name: row[name] and row[name].isoformat() for name in times}
