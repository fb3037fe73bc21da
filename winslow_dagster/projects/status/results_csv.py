"""The results of all projects' current outputs as a CSV file with one row per result, and the verdicts of checks."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Row, func, or_, select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.stages.task.model import CheckResult

HEADINGS = ("project", "pipeline", "stage", "task_id", "ended_at", "result", "value")
PREVIEW_ROWS = 20
ROWS_AT_ONCE = 2000
READABLE = 0o644

Line = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class ResultsTable:
    """A table that was written; `first` are its first rows, without the headings."""

    path: Path
    rows: int
    projects: int
    size_bytes: int
    first: tuple[Line, ...]


def newest_success(database: Database) -> datetime | None:
    """When an attempt last succeeded or was picked: the table does not change in between. None if none has."""
    attempts, picks = schema.attempts, schema.picks
    with database.reading() as connection:
        succeeded = connection.execute(
            select(func.max(attempts.c.ended_at, type_=schema.Utc)).where(attempts.c.outcome == "succeeded")
        ).scalar_one()
        picked = connection.execute(select(func.max(picks.c.picked_at, type_=schema.Utc))).scalar_one()
    return max((moment for moment in (succeeded, picked) if moment is not None), default=None)


def results(database: Database) -> Iterator[Line]:
    """The results of the current attempt of each stage, project by project.

    Rows are yielded as they are read, so that ten thousand projects are never in memory at once.
    """
    table = schema.attempts
    found = table.c.result["log", "results"].label("found")
    for row in _latest_successes(database, found):
        for name, value in sorted((row.found or {}).items()):
            yield row.project, row.pipeline, row.stage, row.task_id, row.ended_at.isoformat(), name, value


def verdicts(database: Database, pipeline: str, stage: str) -> Iterator[tuple[str, tuple[CheckResult, ...]]]:
    """Each project with outputs of the stage, and the check results of the latest outputs."""
    table = schema.attempts
    checks = table.c.result["checks"].label("found")
    for row in _latest_successes(database, checks, table.c.pipeline == pipeline, table.c.stage == stage):
        yield row.project, tuple(CheckResult.model_validate(check) for check in row.found or ())


def _latest_successes(
    database: Database, found: ColumnElement[Any], *chosen: ColumnElement[bool]
) -> Iterator[Row[Any]]:
    """As `lineage.current_attempts`: the last to succeed or to be picked; of a sweep, only picked ones."""
    table, runs = schema.attempts, schema.runs
    stage = (table.c.project, table.c.pipeline, table.c.stage)
    picked = (
        select(schema.picks.c.task_id, func.max(schema.picks.c.picked_at).label("at"))
        .group_by(schema.picks.c.task_id)
        .subquery()
    )
    newest = (func.coalesce(picked.c.at, table.c.ended_at).desc(), table.c.task_id.desc())
    ranked = (
        select(table.c.task_id, func.row_number().over(partition_by=stage, order_by=newest).label("rank"))
        .outerjoin(picked, picked.c.task_id == table.c.task_id)
        .outerjoin(runs, runs.c.run_id == table.c.run_id)
        .where(
            table.c.outcome == "succeeded",
            table.c.outputs_removed_at.is_(None),
            or_(runs.c.sweep.is_(None), picked.c.at.is_not(None)),
            schema.of_live_project(table.c.project),
            *chosen,
        )
        .subquery()
    )
    query = (
        select(*stage, table.c.task_id, table.c.ended_at, found)
        .join(ranked, table.c.task_id == ranked.c.task_id)
        .where(ranked.c.rank == 1)
        .order_by(*stage)
    )
    with database.reading() as connection:
        yield from connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)


def write_results(database: Database, target: Path) -> ResultsTable:
    """Write the table as CSV, replacing `target` in one step. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    fresh = Path(name)
    count = 0
    projects: set[str] = set()
    first: list[Line] = []
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADINGS)
            for row in results(database):
                writer.writerow(row)
                count += 1
                projects.add(row[0])
                if count <= PREVIEW_ROWS:
                    first.append(row)
        size_bytes = fresh.stat().st_size
        fresh.chmod(READABLE)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return ResultsTable(target, count, len(projects), size_bytes, tuple(first))
