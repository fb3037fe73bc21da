"""Follows a run from its start to its end: the same for every command that starts one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from winslow_dagster.actions import Action
from winslow_dagster.cli.action_commands import command_line, next_steps_text
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import print_json, say
from winslow_dagster.errors import ServiceUnavailable

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.run import Run
    from winslow_dagster.projects.domain.views import ProjectStatus
    from winslow_dagster.projects.installation import Installation

DETACHED_EXIT_CODE = 130


def follow(project: str, start: Callable[[Installation], Run | None], *, detach: bool, as_json: bool) -> None:
    """Start a run, and show it until it ends. `start` returns None if there is none to start.

    If the run pauses or waits for a person, the command succeeds. Raises StageFailed if the run fails.
    """
    with open_installation() as winslow:
        if detach and not winslow.services_running:
            raise ServiceUnavailable(
                "the services are not running, so nothing would look after a detached run",
                remedy=Action("start_services"),
            )
        run = start(winslow)
        if run is not None and detach:
            if as_json:
                print_json({"project": project, "run_id": run.run_id})
            else:
                say(f"queued run {run.run_id}; `{command_line('status', project)}` shows its status")
            return
        status = winslow.status(project) if run is None else shown(run, quiet=as_json)
        if as_json:
            print_json(status.model_dump(mode="json"))
        if run is not None:
            status.raise_if_failed()
        if not as_json:
            if run is None:
                say(f"{project} is {status.state}: {status.reason}")
            print_next_steps(status)


def shown(run: Run, *, quiet: bool) -> ProjectStatus:
    """Show the run until it ends. Ctrl-C ends the program, and the run continues."""
    from winslow_dagster.cli.progress import run_display

    try:
        with run_display(quiet=quiet) as shows:
            return run.ended(shows)
    except KeyboardInterrupt:
        say(
            f"detached: the run continues. `{command_line('status', run.project)}` shows its status, "
            f"`{command_line('cancel', run.project)}` ends it. Keep the services running with `{command_line('up')}`."
        )
        raise SystemExit(DETACHED_EXIT_CODE) from None


def print_next_steps(status: ProjectStatus) -> None:
    """What a person can do next, as commands."""
    if text := next_steps_text(status):
        say(text)
