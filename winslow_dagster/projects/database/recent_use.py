"""What stages used lately: GPUs, and time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database


@dataclass(frozen=True, slots=True)
class StageUse:
    """An attempt that ended. It had so many GPUs while its program ran."""

    project: str
    owner: str
    gpus: int
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that has not ended; its engine knows what it uses. It asks for so many GPUs."""

    project: str
    owner: str
    run_id: str
    task_id: str
    gpus: int


def ended_since(database: Database, since: datetime) -> tuple[StageUse, ...]:
    """The attempts that ended since then and ran themselves."""
    table, projects = schema.attempts, schema.projects
    query = (
        select(
            table.c.project,
            projects.c.owner,
            table.c.result["gpus"].label("gpus"),
            table.c.result["started_at"].as_string().label("began_at"),
            table.c.ended_at,
        )
        .join(projects, projects.c.name == table.c.project)
        .where(table.c.ended_at >= since, table.c.reused_from.is_(None), table.c.result.is_not(None))
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return tuple(
        StageUse(row.project, row.owner, len(row.gpus or ()), datetime.fromisoformat(row.began_at), row.ended_at)
        for row in rows
    )


def open_attempts(database: Database) -> tuple[OpenAttempt, ...]:
    """The attempts that have not ended, in the order in which they were submitted."""
    table, projects = schema.attempts, schema.projects
    query = (
        select(table.c.project, projects.c.owner, table.c.run_id, table.c.task_id, table.c.task["gpu"].label("gpu"))
        .join(projects, projects.c.name == table.c.project)
        .where(table.c.ended_at.is_(None))
        .order_by(table.c.started_at, table.c.task_id)
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return tuple(
        OpenAttempt(row.project, row.owner, row.run_id, row.task_id, row.gpu["count"] if row.gpu else 0) for row in rows
    )


def owners(database: Database) -> dict[str, str]:
    """Project -> its owner, for all projects that are not deleted."""
    table = schema.projects
    with database.reading() as connection:
        return dict(connection.execute(select(table.c.name, table.c.owner).where(schema.LIVE)).tuples().all())
