"""The lineage of a project, or of many at once, read from the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage, Pick
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.storage.manifest import Manifest

PROJECTS_AT_ONCE = 500


def lineage_of(records: ProjectRecords, project: str, pipeline: Pipeline) -> Lineage:
    """The history of this pipeline in the project. Raises NotFound."""
    answers = Answers(records.database).of_project(project)
    return Lineage(
        pipeline,
        tuple(attempt for attempt in records.attempts(project) if attempt.pipeline == pipeline.name),
        tuple(pick for pick in Holds(records.database).picks(project) if pick.pipeline == pipeline.name),
        records.sweep_runs(project),
        {each.stage: each.manifest.address for each in answers if each.pipeline == pipeline.name and each.accepted},
    )


def lineages_of(records: ProjectRecords, pipelines: Mapping[str, Pipeline]) -> dict[str, Lineage]:
    """Project -> its history of the pipeline that is given for it, in a few statements for hundreds of projects."""
    names = sorted(pipelines)
    found: dict[str, Lineage] = {}
    with records.database.reading() as connection:
        for start in range(0, len(names), PROJECTS_AT_ONCE):
            some = names[start : start + PROJECTS_AT_ONCE]
            attempts = _rows(connection, schema.attempts, Attempt.__dataclass_fields__, some)
            picks = _rows(connection, schema.picks, ("id", *Pick.__dataclass_fields__), some)
            answers = _rows(connection, schema.answers, ("pipeline", "stage", "version", "manifest", "accepted"), some)
            sweeps = _rows(connection, schema.runs, ("run_id", "sweep"), some)
            for name in some:
                pipeline = pipelines[name]
                found[name] = Lineage(
                    pipeline,
                    tuple(
                        Attempt(**row)
                        for row in sorted(attempts[name], key=lambda row: (row["started_at"], row["task_id"]))
                        if row["pipeline"] == pipeline.name
                    ),
                    tuple(
                        Pick(**{field: row[field] for field in Pick.__dataclass_fields__})
                        for row in sorted(picks[name], key=lambda row: row["id"])
                        if row["pipeline"] == pipeline.name
                    ),
                    frozenset(row["run_id"] for row in sweeps[name] if row["sweep"] is not None),
                    {
                        row["stage"]: row["manifest"]["address"]
                        for row in sorted(answers[name], key=lambda row: row["version"])
                        if row["pipeline"] == pipeline.name and row["accepted"]
                    },
                )
    return found


def _rows(
    connection: Connection, table: Table, columns: Iterable[str], projects: list[str]
) -> Mapping[str, list[RowMapping]]:
    query = select(table.c.project, *(table.c[name] for name in columns if name != "project"))
    found: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query.where(table.c.project.in_(projects))).mappings():
        found[row["project"]].append(row)
    return found


def outputs_in_use(records: ProjectRecords, lineage: Lineage) -> dict[str, Manifest]:
    """Stage -> its current outputs."""
    task_ids = {stage: attempt.task_id for stage, attempt in lineage.current.items()}
    found = records.manifests(task_ids.values())
    return {stage: found[task_id] for stage, task_id in task_ids.items() if task_id in found}


def chosen_outputs(records: ProjectRecords, project: str, pipeline: Pipeline, stage: str, task_id: str) -> Manifest:
    """The outputs of the attempt that a request chose for a stage. Raises ProjectConflict if they cannot be used."""
    attempt = next((each for each in records.attempts(project) if each.task_id == task_id), None)
    if attempt is None or (attempt.pipeline, attempt.stage) != (pipeline.name, stage):
        problem = "it is none of its attempts"
    elif attempt.outputs_removed_at is not None:
        problem = "its outputs were removed"
    elif attempt.outcome != "succeeded":
        problem = "it has not ended" if attempt.outcome is None else f"its outcome is {attempt.outcome}"
    elif (manifest := records.manifests([task_id]).get(task_id)) is None:
        problem = "its outputs are not on record"
    else:
        return manifest
    raise ProjectConflict(
        f"attempt {task_id} cannot be used for stage {stage} of pipeline {pipeline.name}: {problem}",
        where=f"project {project}",
        expected="an attempt of the stage in this project that succeeded and still has its outputs",
    )
