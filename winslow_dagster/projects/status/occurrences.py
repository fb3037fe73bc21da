"""What has happened to projects that somebody may want to hear of, each with the page on which a person goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from sqlalchemy import select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.notifications import Occurrence
from winslow_dagster.projects.domain.project_filter import parse_filter
from winslow_dagster.projects.domain.views import ProjectSummary
from winslow_dagster.projects.status.needs import OpenQuestion, open_questions
from winslow_dagster.projects.status.state_queries import selected

SUPERSEDED_FOR = timedelta(hours=1)
"""How long the end of a run is told of though another run of the project has begun since."""


def occurrences(database: Database, projects: Iterable[ProjectSummary], now: datetime) -> tuple[Occurrence, ...]:
    """What these projects are about: each question, or the stage that failed; and the runs that ended just before."""
    return (*_occurrences(database, projects), *_occurrences(database, _superseded(database, now - SUPERSEDED_FOR)))


def _superseded(database: Database, since: datetime) -> tuple[ProjectSummary, ...]:
    """The ends since then of runs that are not the latest of their projects any more, as summaries of these.

    A question of such a run has been answered, or asked again.
    """
    projects, runs = schema.projects, schema.runs
    query = (
        select(
            projects.c.name,
            runs.c.pipeline,
            runs.c.outcome,
            runs.c.outcome_reason,
            projects.c.tags,
            runs.c.run_id,
            runs.c.ended_at,
            projects.c.created_by,
            projects.c.owner,
        )
        .join(projects, projects.c.name == runs.c.project)
        .where(schema.LIVE, projects.c.latest_run != runs.c.run_id, runs.c.ended_at >= since)
        .where(runs.c.outcome.in_(("succeeded", "failed")), runs.c.sweep.is_(None))
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return tuple(ProjectSummary(*row)._replace(tags=tuple(row.tags)) for row in rows)


def _occurrences(database: Database, projects: Iterable[ProjectSummary]) -> tuple[Occurrence, ...]:
    found = [each for each in projects if each.run_id is not None]
    asking = [each.run_id or "" for each in found if each.state == "awaiting_input"]
    failed = [each.run_id or "" for each in found if each.state == "failed"]
    questions = open_questions(database, asking) if asking else {}
    stages = _failed_stages(database, failed) if failed else {}
    return tuple(
        occurrence
        for each in found
        for occurrence in _of_project(each, questions.get(each.run_id or "", ()), stages.get(each.run_id or ""))
    )


def _of_project(project: ProjectSummary, questions: Sequence[OpenQuestion], failed: str | None) -> Iterable[Occurrence]:
    page = f"/projects/{quote(project.project, safe='')}"
    if questions:
        for each in questions:
            path = f"{page}/questions/{quote(each.stage, safe='')}"
            yield Occurrence(project, path, f"{each.stage}: {each.message}", stage=each.stage)
    elif failed is not None:
        yield Occurrence(project, f"{page}/stages/{quote(failed, safe='')}/log", project.reason, stage=failed)
    else:
        yield Occurrence(project, page, project.reason)


def _failed_stages(database: Database, run_ids: Collection[str]) -> Mapping[str, str]:
    """Run -> the stage that failed in it last: an earlier one may have succeeded when it was tried again."""
    attempts = schema.attempts
    query = (
        select(attempts.c.run_id, attempts.c.stage)
        .where(attempts.c.run_id.in_(run_ids), attempts.c.outcome == "failed")
        .order_by(attempts.c.ended_at)
    )
    with database.reading() as connection:
        return {run_id: stage for run_id, stage in connection.execute(query)}  # noqa: C416  # rows are no pairs to mypy


def selected_by(database: Database, line: str, names: Collection[str]) -> frozenset[str]:
    """Those of the projects that a filter line selects. Raises FilterInvalid."""
    wanted = parse_filter(line)
    with database.reading() as connection:
        return selected(connection, wanted, names)
