"""The attempts that had a GPU, from what their runners reported."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.gpu_lanes import GpuHold

MOST = 2000
"""Of more attempts, the latest count."""


def ended_holds(database: Database, since: datetime) -> tuple[GpuHold, ...]:
    """Who held which GPU, of attempts that ended after `since`, the earliest first."""
    table = schema.attempts
    columns = (table.c.project, table.c.pipeline, table.c.stage, table.c.task_id, table.c.node, table.c.outcome)
    query = (
        select(*columns, table.c.started_at, table.c.ended_at, table.c.result["gpus"].label("gpus"))
        .where(table.c.ended_at >= since, table.c.reused_from.is_(None), table.c.result.is_not(None))
        .order_by(table.c.ended_at.desc())
        .limit(MOST)
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return tuple(
        GpuHold(
            gpu=gpu,
            node=row.node,
            project=row.project,
            pipeline=row.pipeline,
            stage=row.stage,
            task_id=row.task_id,
            since=row.started_at,
            until=row.ended_at,
            outcome=row.outcome,
        )
        for row in reversed(rows)
        for gpu in row.gpus or ()
    )
