"""Which stages of projects whose latest run succeeded are not up to date: what the list and the status both say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from sqlalchemy import ColumnElement, exists, or_, select

from winslow_dagster.errors import NotFound, PipelineInvalid, StoreError
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.lineage_queries import PROJECTS_AT_ONCE, lineages_of
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.status.state_queries import WITH_LATEST_RUN

ReadVersion = Callable[[str, str], Pipeline]
"""Reads a kept version of a pipeline by name and digest. Raises NotFound, StoreError, PipelineInvalid."""


def unfinished(lineage: Lineage) -> str:
    """Such as `count is out of date; export has not run yet`; empty if every stage is up to date."""
    tried = {attempt.stage for attempt in lineage.attempts_outside_sweeps} | set(lineage.current)
    succeeded = {attempt.stage for attempt in lineage.attempts_outside_sweeps if attempt.outcome == "succeeded"}
    succeeded |= set(lineage.current)
    stages = [stage.name for stage in lineage.pipeline.stages]
    outdated = [name for name in stages if name in lineage.outdated]
    failed = [name for name in stages if name in tried - succeeded]
    not_run = [name for name in stages if name not in tried]
    parts = (
        (outdated, "is out of date", "are out of date"),
        (failed, "has not succeeded", "have not succeeded"),
        (not_run, "has not run yet", "have not run yet"),
    )
    return "; ".join(f"{', '.join(names)} {one if len(names) == 1 else more}" for names, one, more in parts if names)


def unfinished_projects(
    records: ProjectRecords, read_version: ReadVersion, projects: Iterable[str], ended: Collection[str]
) -> dict[str, str]:
    """Project -> what `unfinished` says, for those of these projects, whose latest runs succeeded, where it says some.

    `ended` are runs whose ends are not in the tables yet. A run of all stages leaves nothing unfinished, so that the
    history is read only for projects whose latest run was of a part, or where a person has done something since.
    """
    wanted = set(projects)
    query = select(schema.projects.c.name, schema.projects.c.pipeline, schema.projects.c.pipeline_digest).select_from(
        WITH_LATEST_RUN
    )
    query = query.where(_may_be_unfinished(ended))
    if len(wanted) <= PROJECTS_AT_ONCE:
        query = query.where(schema.projects.c.name.in_(wanted))
    with records.database.reading() as connection:
        rows = connection.execute(query).all()
    pipelines: dict[str, Pipeline] = {}
    found: dict[str, str] = {}
    for name, pipeline, digest in rows:
        if name in wanted:
            try:
                pipelines[name] = read_version(pipeline, digest)
            except (NotFound, StoreError, PipelineInvalid) as error:
                # One project that cannot be read does not hide the others.
                found[name] = str(error)
    found |= {name: unfinished(lineage) for name, lineage in lineages_of(records, pipelines).items()}
    return {name: text for name, text in found.items() if text}


def _may_be_unfinished(ended: Collection[str]) -> ColumnElement[bool]:
    projects, runs, attempts = schema.projects, schema.runs, schema.attempts
    picks, answers = schema.picks, schema.answers
    changed_since = (
        exists().where(picks.c.project == projects.c.name, picks.c.picked_at > runs.c.launched_at),
        exists().where(answers.c.project == projects.c.name, answers.c.given_at > runs.c.launched_at),
        exists().where(
            attempts.c.project == projects.c.name,
            attempts.c.started_at > runs.c.launched_at,
            attempts.c.run_id != runs.c.run_id,
        ),
    )
    return or_(runs.c.outcome == "succeeded", runs.c.run_id.in_(list(ended))) & or_(
        runs.c.start_from.is_not(None),
        runs.c.stop_after.is_not(None),
        runs.c.settings["use"].as_string().is_not(None),
        runs.c.pipeline != projects.c.pipeline,
        runs.c.pipeline_digest != projects.c.pipeline_digest,
        *changed_since,
    )
