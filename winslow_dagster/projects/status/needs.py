"""Which projects wait for a person, why, and what the person can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import select

from winslow_dagster.actions import Action
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.views import Need, NeedKind, ProjectState, ProjectSummary
from winslow_dagster.projects.status.state_queries import unanswered_holds

STATES: tuple[ProjectState, ...] = ("awaiting_input", "failed", "interrupted")
"""The states of projects that wait for a person. One that somebody paused does not: they know."""


class OpenQuestion(NamedTuple):
    """A stage that a run did not start because of a question without an answer."""

    stage: str
    message: str


def project_needs(database: Database, projects: Iterable[ProjectSummary]) -> tuple[Need, ...]:
    """What these projects, which are in one of the states above, wait for."""
    found = tuple(projects)
    run_ids = [each.run_id for each in found if each.run_id is not None]
    questions, sweeps = open_questions(database, run_ids), _sweeps(database, run_ids)
    return tuple(_need(each, questions.get(each.run_id or ""), sweeps.get(each.run_id or "")) for each in found)


def _need(project: ProjectSummary, questions: list[OpenQuestion] | None, swept: str | None) -> Need:
    of_project = {"project": project.project}
    kind: NeedKind = "interrupted" if project.state == "interrupted" else "failed"
    stage, reason = None, project.reason
    action = Action("diagnose") if kind == "interrupted" else Action("resume_project", of_project)
    if questions and project.state != "interrupted":
        # A run with a question that failed elsewhere cannot be resumed before the answer.
        stage = questions[0].stage
        action = Action("answer_question", of_project | {"stage": stage})
        if project.state == "awaiting_input":
            kind = "question"
            reason = "; ".join(f"{each.stage}: {each.message}" for each in questions)
    elif project.state == "awaiting_input" and swept is not None:
        kind, stage, action = "pick", swept, Action("compare_attempts", of_project | {"stage": swept})
    return Need(
        kind=kind,
        reason=reason,
        since=project.changed_at,
        project=project.project,
        pipeline=project.pipeline,
        stage=stage,
        owner=project.owner,
        action=action,
    )


def open_questions(database: Database, run_ids: Iterable[str]) -> Mapping[str, list[OpenQuestion]]:
    """Run -> its questions without an answer, the earliest first."""
    found: dict[str, list[OpenQuestion]] = {}
    with database.reading() as connection:
        for run_id, stage, message in connection.execute(unanswered_holds(list(run_ids))):
            found.setdefault(run_id, []).append(OpenQuestion(stage, message))
    return found


def _sweeps(database: Database, run_ids: Iterable[str]) -> Mapping[str, str]:
    """Run of a sweep -> the stage that was swept."""
    runs = schema.runs
    query = select(runs.c.run_id, runs.c.start_from).where(runs.c.run_id.in_(list(run_ids)), runs.c.sweep.is_not(None))
    with database.reading() as connection:
        return {run_id: stage for run_id, stage in connection.execute(query) if stage is not None}
