"""`winslow dismiss`."""

from __future__ import annotations

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, say


@click.command("dismiss")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@click.option("--undo", is_flag=True, help="Have them wait for somebody again.")
@json_option
def command(projects: tuple[str, ...], *, undo: bool, as_json: bool) -> None:
    """Take note that each PROJECT failed: it no longer waits for somebody, until it fails again.

    With --json, {"dismissed": {name: {run_id, dismissed_at, dismissed_by} or null, …}}.
    """
    with open_installation() as winslow:
        for name in projects:
            project = winslow.project(name)
            project.undismiss() if undo else project.dismiss()
        dismissals = {name: winslow.project(name).dismissal() for name in projects}
    if as_json:
        print_json(
            {"dismissed": {name: each.model_dump(mode="json") if each else None for name, each in dismissals.items()}}
        )
    else:
        say(f"{', '.join(projects)}: {'waiting for somebody again' if undo else 'noted'}")
