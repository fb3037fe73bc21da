"""Brings the project tables forward, one numbered step at a time. There is no way back: restore a backup instead.

A step is never changed once it has been released. It says in its own words what it does to the tables, and does not
refer to `tables.py`, which is always the newest form; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects.postgresql import JSONB

Step = Callable[[Operations], None]
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def _of_project() -> sa.Column[str]:
    return sa.Column("project", sa.String(63), nullable=False)


def first_tables(op: Operations) -> None:
    """Projects, their inputs, runs and attempts."""
    op.create_table(
        "winslow_projects",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("pipeline_digest", sa.String(64), nullable=False),
        sa.Column("env", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_winslow_projects"),
    )
    op.create_table(
        "winslow_inputs",
        _of_project(),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("manifest", JSON, nullable=False),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "version", name="pk_winslow_inputs"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_inputs_project"),
    )
    op.create_table(
        "winslow_runs",
        sa.Column("run_id", sa.String(64), nullable=False),
        _of_project(),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("pipeline_digest", sa.String(64), nullable=False),
        sa.Column("launched_at", TIME, nullable=False),
        sa.Column("start_from", sa.String(63)),
        sa.Column("stop_after", sa.String(63)),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_winslow_runs"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_runs_project"),
    )
    op.create_index("ix_winslow_runs_project_launched_at", "winslow_runs", ["project", "launched_at"])
    op.create_table(
        "winslow_attempts",
        sa.Column("task_id", sa.String(200), nullable=False),
        _of_project(),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("pipeline_digest", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(63), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("task", JSON, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("outcome", sa.String(32)),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("mode", sa.String(16)),
        sa.Column("image_digest", sa.Text),
        sa.Column("result", JSON),
        sa.Column("manifest", JSON),
        sa.PrimaryKeyConstraint("task_id", name="pk_winslow_attempts"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_attempts_project"),
    )
    op.create_index("ix_winslow_attempts_project_stage", "winslow_attempts", ["project", "stage", "ended_at"])
    succeeded = sa.text("outcome = 'succeeded'")
    op.create_index(
        "uq_winslow_attempts_one_success",
        "winslow_attempts",
        ["run_id", "stage"],
        unique=True,
        sqlite_where=succeeded,
        postgresql_where=succeeded,
    )
    op.create_table(
        "winslow_handed_on",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(63), nullable=False),
        sa.Column("manifest", JSON, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stage", name="pk_winslow_handed_on"),
    )


STEPS: tuple[Step, ...] = (first_tables,)


def apply_steps(connection: sa.Connection, done: int, steps: tuple[Step, ...] = STEPS) -> None:
    """Apply the steps after number `done`, in the connection's transaction."""
    op = Operations(MigrationContext.configure(connection))
    if done == 0:
        op.create_table(
            "winslow_schema_version",
            sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
            sa.Column("applied_at", TIME, nullable=False),
            sa.PrimaryKeyConstraint("version", name="pk_winslow_schema_version"),
        )
    table = sa.table("winslow_schema_version", sa.column("version"), sa.column("applied_at", TIME))
    for number, step in enumerate(steps[done:], start=done + 1):
        step(op)
        connection.execute(table.insert().values(version=number, applied_at=datetime.now(UTC)))
