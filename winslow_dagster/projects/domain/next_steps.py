"""What a person can do next with a project, the most likely first, as actions that each door words."""

from __future__ import annotations

from winslow_dagster.actions import Action, ActionName
from winslow_dagster.projects.domain.views import NextAction, ProjectStatus

PLAIN: dict[NextAction, ActionName] = {
    "pause": "pause_project",
    "resume": "resume_project",
    "cancel": "cancel_project",
}


def next_steps(status: ProjectStatus) -> tuple[Action, ...]:
    """The status's actions with everything they need. What a person must add something to, as a sweep, is left out."""
    steps = [_step(name, status) for name in status.actions]
    if status.state == "succeeded":
        steps.insert(0, Action("list_files", {"project": status.project}))
    return tuple(step for step in steps if step is not None)


def _step(name: NextAction, status: ProjectStatus) -> Action | None:
    project = {"project": status.project}
    match name:
        case "run" if not status.missing_inputs:
            return Action("run_project", project | {"pipeline": status.pipeline})
        case "answer" if status.questions:
            return Action("answer_question", project | {"stage": status.questions[0].stage})
        case "redo" if stage := _stage_to_redo(status):
            return Action("redo_stage", project | {"stage": stage})
        case "pick" if status.sweep_stage:
            return Action("compare_attempts", project | {"stage": status.sweep_stage})
        case _:
            return Action(PLAIN[name], project) if name in PLAIN else None


def _stage_to_redo(status: ProjectStatus) -> str:
    """The first stage that did not succeed, or whose outputs are out of date; else the last one that has run."""
    for view in status.stages:
        if view.state in {"failed", "cancelled"} or view.outdated:
            return view.stage
    return next((view.stage for view in reversed(status.stages) if view.attempts), "")
