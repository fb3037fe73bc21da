"""`winslow cancel`."""

from __future__ import annotations

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, say


@click.command("cancel")
@click.argument("project")
@click.option("--detach", is_flag=True, help="Do not wait for the run to end.")
@json_option
def command(project: str, *, detach: bool, as_json: bool) -> None:
    """Cancel the run of PROJECT with its running stages. Finished stages keep their outputs.

    With --json, the project's status, as by `winslow status PROJECT --json`.
    """
    from winslow_dagster.cli.progress import run_display

    with open_installation() as winslow:
        run = winslow.project(project).cancel()
        if detach:
            status = run.status()
        else:
            with run_display(quiet=as_json) as shows:
                status = run.ended(shows)
    if as_json:
        print_json(status.model_dump(mode="json"))
    elif detach:
        say(f"cancelling {project}; `{command_line('status', project)}` shows its status")
