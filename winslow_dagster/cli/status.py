"""`winslow status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.output import console, json_option, print_json, print_table

if TYPE_CHECKING:
    from winslow_dagster.projects.results import ProjectStatus, StageView


@click.command("status")
@click.argument("project", required=False)
@json_option
def command(project: str | None, *, as_json: bool) -> None:
    """Say how all projects stand, or how PROJECT does, stage by stage; and why, where something does not run.

    With --json, {"projects": [status, …]}, or one status: project, pipeline, pipeline_digest, pipeline_changes, state,
    reason, run_id, created_at, created_by, env, inputs, stages. State is idle, queued, running, cancelling,
    interrupted, succeeded, failed, cancelled or awaiting_input; a stage's is pending, waiting, running, succeeded,
    failed, cancelled or awaiting_input.
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
        statuses = winslow.projects()
    if as_json:
        print_json({"projects": [status.model_dump(mode="json") for status in statuses]})
    elif not statuses:
        console().print("no projects yet; `winslow run PIPELINE --project NAME` makes one")
    else:
        print_table(
            ("project", "pipeline", "state", "stages", "why"),
            [
                (
                    status.project,
                    status.pipeline,
                    status.state,
                    f"{sum(view.state == 'succeeded' for view in status.stages)}/{len(status.stages)}",
                    status.reason,
                )
                for status in statuses
            ],
        )


def show(status: ProjectStatus) -> None:
    """One project, for a person."""
    there = console()
    why = f": {status.reason}" if status.reason else ""
    there.print(f"{status.project} ({status.pipeline} {status.pipeline_digest[:8]}) {status.state}{why}", markup=False)
    if status.run_id:
        there.print(f"run {status.run_id}")
    for given in status.inputs:
        there.print(f"input {given.name}: {given.original_path}", markup=False)
    if status.pipeline_changes:
        there.print("the pipeline file has changed since (--pipeline-version current takes it up):")
        for change in status.pipeline_changes:
            there.print(f"  {change}", markup=False)
    there.print()
    print_table(
        ("stage", "state", "time", "progress", "why"),
        [(view.stage, view.state, _time(view), _progress(view), _why(view)) for view in status.stages],
    )


def _time(view: StageView) -> str:
    from winslow_dagster.stages.words import duration_in_words

    return "" if view.duration_s is None else duration_in_words(view.duration_s)


def _progress(view: StageView) -> str:
    from winslow_dagster.stages.words import duration_in_words

    if view.state == "succeeded":
        return ", ".join(f"{name}={value}" for name, value in view.results.items())
    parts = []
    for subject in view.progress:
        text = f"{subject.subject} {subject.current:g}"
        if subject.total:
            text += f"/{subject.total:g}"
        if subject.remaining_s is not None:
            text += f", {duration_in_words(subject.remaining_s)} left"
        parts.append(text)
    return "; ".join(parts)


def _why(view: StageView) -> str:
    notes = [view.reason, f"out of date: {view.outdated}" if view.outdated else ""]
    for count, name in ((view.warning_count, "warning"), (view.error_count, "error")):
        if count:
            notes.append(f"{count} {name}{'' if count == 1 else 's'}")
    return "; ".join(filter(None, notes))
