"""`winslow status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.action_commands import next_steps_text
from winslow_dagster.cli.list import filter_option, selected, show_projects
from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import console, json_option, print_json, print_table
from winslow_dagster.errors import UsageError

if TYPE_CHECKING:
    from winslow_dagster.projects.domain.views import PipelineView, ProjectStatus, StageView


@click.command("status")
@click.argument("project", required=False)
@filter_option
@json_option
def command(project: str | None, line: str | None, *, as_json: bool) -> None:
    """Show the status of all projects, or of PROJECT stage by stage, and why something is not running.

    WORDS are those of the web interface, such as `state:failed tag:ulm -tag:old pipeline:NAME owner:NAME text`. A
    leading - excludes, and values with spaces stand in double quotes.

    With --json, {"projects": [{project, pipeline, state, reason, tags, run_id, changed_at, created_by, owner}, …]}, or
    one project in full: project, pipeline, pipeline_digest, pipeline_changes, state, reason, run_id, created_at,
    created_by, env, inputs, stages, actions, questions, sweep, sweep_stage, tags, notes, todos, other_pipelines,
    missing_inputs. State is idle, queued, running, pausing, paused, awaiting_input, cancelling, interrupted,
    succeeded, failed or cancelled; a stage's is pending, waiting, running, succeeded, failed, cancelled or
    awaiting_input.
    """
    if project is not None and line is not None:
        raise UsageError("a filter is for the list of projects", expected="either PROJECT or --filter")
    with open_installation() as winslow:
        if project is not None:
            status = winslow.project(project).status()
            if as_json:
                print_json(status.model_dump(mode="json"))
            else:
                show(status)
            return
        summaries = selected(winslow, line)
    show_projects(summaries, filtered=line is not None, as_json=as_json)


def show(status: ProjectStatus) -> None:
    """One project as text."""
    output = console()
    output.print(_headline(status), markup=False)
    if status.run_id:
        output.print(f"run {status.run_id}")
    _show_inputs(status)
    if status.tags:
        output.print(f"tags: {', '.join(status.tags)}", markup=False)
    for todo in status.todos:
        output.print(f"[{'x' if todo.done_at else ' '}] {todo.number} {todo.text}", markup=False)
    for question in status.questions:
        output.print(f"question of {question.stage}: {question.message}", markup=False)
    if status.pipeline_changes:
        output.print("The pipeline file has changed since; to use it, run with --pipeline-version current:")
        for change in status.pipeline_changes:
            output.print(f"  {change}", markup=False)
    output.print()
    _show_stages(status.stages)
    for other in status.other_pipelines:
        _show_other(other)
    if text := next_steps_text(status):
        output.print()
        output.print(text, markup=False, soft_wrap=True)


def _show_inputs(status: ProjectStatus) -> None:
    for each in status.inputs:
        console().print(f"input {each.name}: {each.original_path}", markup=False)
    for name in status.missing_inputs:
        console().print(f"input {name} is missing: run {status.pipeline} with --input {name}=PATH", markup=False)


def _headline(status: ProjectStatus) -> str:
    """The project's state and why; of a stage that failed only its name, since the table has its reason."""
    headline = f"{status.project} ({status.pipeline} {status.pipeline_digest[:8]}) {status.state}"
    for view in status.stages:
        if view.reason and status.reason == f"{view.stage}: {view.reason}":
            return f"{headline} in {view.stage}"
    return f"{headline}: {status.reason}" if status.reason else headline


def _show_other(other: PipelineView) -> None:
    output = console()
    output.print()
    problem = f": {other.problem}" if other.problem else ""
    output.print(f"also ran {other.pipeline} {other.pipeline_digest[:8]}{problem}", markup=False)
    for question in other.questions:
        output.print(f"question of {question.stage}: {question.message}", markup=False)
    _show_stages(other.stages)


def _show_stages(stages: tuple[StageView, ...]) -> None:
    if stages:
        print_table(
            ("stage", "state", "time", "progress", "reason"),
            [(view.stage, view.state, _time(view), _progress(view), _reason(view)) for view in stages],
        )


def _time(view: StageView) -> str:
    from winslow_dagster.formatting import format_duration

    return "" if view.duration_s is None else format_duration(view.duration_s)


def _progress(view: StageView) -> str:
    from winslow_dagster.formatting import format_progress

    if view.state == "succeeded":
        return ", ".join(f"{name}={value}" for name, value in view.results.items())
    return "; ".join(format_progress(progress) for progress in view.progress)


def _reason(view: StageView) -> str:
    parts = [view.reason, f"out of date: {view.outdated}" if view.outdated else ""]
    for count, name in ((view.warning_count, "warning"), (view.error_count, "error")):
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return "; ".join(filter(None, parts))
