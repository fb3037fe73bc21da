"""`winslow queue`: what waits, in which order, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import command_line
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.queue import ExpectedStart, QueuedRun, QueueView, RunningStage


@click.group("queue")
def command() -> None:
    """Show the run queue, and change the order in which runs start."""


@command.command("list")
@click.option("--first", type=click.IntRange(min=1), default=1, show_default=True, help="Place of the first run shown.")
@click.option("--most", type=click.IntRange(min=0), help="Most waiting runs shown.  [default: all]")
@json_option
def list_(*, first: int, most: int | None, as_json: bool) -> None:
    """List the runs that wait, in their order, and those in progress: why each waits, and when it may start.

    The expected start comes from how long stages took before: it is as likely early as late. In eight of ten cases it
    lies in the times behind it.

    With --json, {"waiting": [{run_id, project, pipeline, state, queued_at, started_at, requested_by, priority,
    needs_gpu, held, sharer, reason, turn, problem, expected, stages}, …], "first", "waiting_in_all",
    "in_progress": […], "max_runs", "max_gpu_runs", "share_by", "stopped"}, where the first place is 0.
    """
    with open_installation() as winslow:
        view = winslow.queue.view(first=first - 1, most=most)
    if as_json:
        print_json(view.model_dump(mode="json"))
    else:
        show(view)


@command.command("front")
@click.argument("project")
@json_option
def front(project: str, *, as_json: bool) -> None:
    """Put the runs of PROJECT before all others, also its stages that wait for GPUs.

    With --json, {"project", "priority"}: their priority is now higher than that of the others.
    """
    with open_installation() as winslow:
        priority = winslow.queue.move_to_front(project)
    if as_json:
        print_json({"project": project, "priority": priority})
    else:
        say(f"{project} is at the front of the queue, with priority {priority}")


@command.command("priority")
@click.argument("project")
@click.argument("priority", type=int)
@json_option
def priority(project: str, priority: int, *, as_json: bool) -> None:
    """Give the runs of PROJECT a PRIORITY: a higher one goes first, and 0 is what runs have.

    That of a run in progress counts for its stages that wait for GPUs.

    With --json, {"project", "priority"}.
    """
    with open_installation() as winslow:
        winslow.queue.set_priority(project, priority)
    if as_json:
        print_json({"project": project, "priority": priority})
    else:
        say(f"{project} has priority {priority}")


@command.command("hold")
@click.argument("project")
@click.option("--reason", default="", help="Reason, for those who wait.")
@json_option
def hold(project: str, reason: str, *, as_json: bool) -> None:
    """Keep the waiting runs of PROJECT from starting until they are released.

    With --json, {"project", "held": true}.
    """
    with open_installation() as winslow:
        winslow.queue.hold(project, reason)
    if as_json:
        print_json({"project": project, "held": True})
    else:
        say(f"{project} is held; `{command_line('queue', 'release', project)}` lets it start")


@command.command("release")
@click.argument("project")
@json_option
def release(project: str, *, as_json: bool) -> None:
    """Let the held runs of PROJECT start again.

    With --json, {"project", "held": false}.
    """
    with open_installation() as winslow:
        winslow.queue.release(project)
    if as_json:
        print_json({"project": project, "held": False})
    else:
        say(f"{project} is no longer held")


def show(view: QueueView) -> None:
    """The queue for people."""
    if view.stopped:
        say(f"nothing starts: {view.stopped}")
    print_table(("in progress", "pipeline", "state", "stages"), [_active(run) for run in view.in_progress])
    print_table(
        ("waiting", "pipeline", "priority", "expected start", "reason"), [_waiting(run) for run in view.waiting]
    )
    if len(view.waiting) < view.waiting_in_all:
        say(f"{view.waiting_in_all} wait in all; shown from place {view.first + 1} on: {len(view.waiting)}")


def _active(run: QueuedRun) -> tuple[str, ...]:
    stages = (f"{each.stage} ({each.reason or each.phase}{_starts(each)})" for each in run.stages)
    return run.project or "", run.pipeline, run.state, ", ".join(stages)


def _starts(stage: RunningStage) -> str:
    return f"; expected start {_when(stage.expected)}" if stage.expected else ""


def _when(expected: ExpectedStart) -> str:
    from winslow_dagster.formatting import format_time

    late = format_time(expected.late) if expected.late else "unknown"
    return f"{format_time(expected.at)} ({format_time(expected.early)} to {late})"


def _waiting(run: QueuedRun) -> tuple[str, ...]:
    expected = "unknown" if run.expected is None else _when(run.expected)
    problem = f"it will fail: {run.problem}" if run.problem else ""
    reason = "; ".join(filter(None, (run.reason, run.turn, problem)))
    return run.project or "", run.pipeline, str(run.priority), expected, reason
