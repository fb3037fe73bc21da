"""From a command that starts a run to its end, or to its number: the same for all that start one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from winslow_dagster.cli.output import print_json, say, say_if_services_start
from winslow_dagster.errors import ServiceUnavailable

if TYPE_CHECKING:
    from winslow_dagster import Winslow
    from winslow_dagster.projects.commands.run import Run
    from winslow_dagster.projects.domain.views import ProjectStatus

DETACHED_EXIT_CODE = 130


def follow(project: str, start: Callable[[Winslow], Run | None], *, detach: bool, as_json: bool) -> None:
    """Start a run and show it until it ends. `start` may find that there is none to be started.

    A run that pauses, or waits for a person, ends the command as a success. Raises StageFailed where it fails.
    """
    from winslow_dagster import Winslow
    from winslow_dagster.projects.database.audit import Actor

    with Winslow(actor=Actor(via="cli")) as winslow:
        if detach and not winslow.services_run:
            raise ServiceUnavailable(
                "no services run that would look after a detached run",
                remedy="Start them with `winslow up` in another terminal, or leave out --detach",
            )
        if not as_json:
            say_if_services_start(winslow)
        run = start(winslow)
        if run is not None and detach:
            if as_json:
                print_json({"project": project, "run_id": run.run_id})
            else:
                say(f"run {run.run_id} is queued; `winslow status {project}` says how it stands")
            return
        status = winslow.status(project) if run is None else shown(run, quiet=as_json)
        if as_json:
            print_json(status.model_dump(mode="json"))
        if run is not None:
            run.raise_if_failed(status)
        if not as_json:
            say(_afterwards(status))


def shown(run: Run, *, quiet: bool) -> ProjectStatus:
    """Show the run until its end, whatever that is. Ctrl-C leaves the run alone, and ends the program."""
    from winslow_dagster.cli.progress import run_display

    try:
        with run_display(quiet=quiet) as shows:
            return run.ended(shows)
    except KeyboardInterrupt:
        say(
            f"detached: the run goes on. `winslow status {run.project}` says how it stands, "
            f"`winslow cancel {run.project}` ends it; `winslow up` looks after it."
        )
        raise SystemExit(DETACHED_EXIT_CODE) from None


def _afterwards(status: ProjectStatus) -> str:
    """What a person does next."""
    project = status.project
    match status.state:
        case "awaiting_input" if status.sweep:
            return f"{status.reason}: `winslow compare {project} STAGE` shows them, `winslow pick` takes one"
        case "awaiting_input":
            return f"{project} waits for you: {status.reason}; `winslow answer {project}` shows what is asked"
        case "paused":
            return f"{project} is paused: {status.reason}; `winslow resume {project}` goes on"
        case _:
            return f"`winslow files {project}` lists what it made"
