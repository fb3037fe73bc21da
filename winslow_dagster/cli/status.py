"""`winslow status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from winslow_dagster.cli.output import console, json_option, print_json, print_table

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import ProjectStatus, ProjectSummary, StageView


@click.command("status")
@click.argument("project", required=False)
@json_option
def command(project: str | None, *, as_json: bool) -> None:
    """Say how all projects stand, or how PROJECT does, stage by stage; and why, where something does not run.

    With --json, {"projects": [{project, pipeline, state, reason, tags, run_id, changed_at, created_by}, …]}, or one
    project in full: project, pipeline, pipeline_digest, pipeline_changes, state, reason, run_id, created_at,
    created_by, env, inputs, stages, actions, questions, sweep, tags, notes, todos. State is idle, queued, running,
    pausing, paused, awaiting_input, cancelling, interrupted, succeeded, failed or cancelled; a stage's is pending,
    waiting, running, succeeded, failed, cancelled or awaiting_input.
    """
    from winslow_dagster import Winslow

    with Winslow() as winslow:
        if project is not None:
            status = winslow.project(project).status()
            if as_json:
                print_json(status.model_dump(mode="json"))
            else:
                show(status)
            return
        summaries = winslow.projects()
    if as_json:
        print_json({"projects": [_plain(summary) for summary in summaries]})
    elif not summaries:
        console().print("no projects yet; `winslow run PIPELINE --project NAME` makes one")
    else:
        print_table(
            ("project", "pipeline", "state", "tags", "why"),
            [
                (summary.project, summary.pipeline, summary.state, ", ".join(summary.tags), summary.reason)
                for summary in summaries
            ],
        )


def _plain(summary: ProjectSummary) -> dict[str, Any]:
    return {**summary._asdict(), "changed_at": summary.changed_at.isoformat()}


def show(status: ProjectStatus) -> None:
    """One project, for a person."""
    there = console()
    why = f": {status.reason}" if status.reason else ""
    there.print(f"{status.project} ({status.pipeline} {status.pipeline_digest[:8]}) {status.state}{why}", markup=False)
    if status.run_id:
        there.print(f"run {status.run_id}")
    for given in status.inputs:
        there.print(f"input {given.name}: {given.original_path}", markup=False)
    if status.tags:
        there.print(f"tags: {', '.join(status.tags)}", markup=False)
    for todo in status.todos:
        there.print(f"[{'x' if todo.done_at else ' '}] {todo.number} {todo.text}", markup=False)
    for question in status.questions:
        there.print(f"asks before {question.stage}: {question.message}", markup=False)
    if status.pipeline_changes:
        there.print("the pipeline file has changed since (--pipeline-version current takes it up):")
        for change in status.pipeline_changes:
            there.print(f"  {change}", markup=False)
    there.print()
    print_table(
        ("stage", "state", "time", "progress", "why"),
        [(view.stage, view.state, _time(view), _progress(view), _why(view)) for view in status.stages],
    )
    if status.actions:
        there.print()
        there.print(
            f"next: {', '.join(f'winslow {action} {status.project}' for action in status.actions)}", markup=False
        )


def _time(view: StageView) -> str:
    from winslow_dagster.stages.formatting import format_duration

    return "" if view.duration_s is None else format_duration(view.duration_s)


def _progress(view: StageView) -> str:
    from winslow_dagster.stages.formatting import format_duration

    if view.state == "succeeded":
        return ", ".join(f"{name}={value}" for name, value in view.results.items())
    parts = []
    for subject in view.progress:
        text = f"{subject.subject} {subject.current:g}"
        if subject.total:
            text += f"/{subject.total:g}"
        if subject.remaining_s is not None:
            text += f", {format_duration(subject.remaining_s)} left"
        parts.append(text)
    return "; ".join(parts)


def _why(view: StageView) -> str:
    notes = [view.reason, f"out of date: {view.outdated}" if view.outdated else ""]
    for count, name in ((view.warning_count, "warning"), (view.error_count, "error")):
        if count:
            notes.append(f"{count} {name}{'' if count == 1 else 's'}")
    return "; ".join(filter(None, notes))
