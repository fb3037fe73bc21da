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


def living_projects(op: Operations) -> None:
    """Pauses, answers, picks, sweeps, notes, audit, retention, landings and notices."""
    none, empty = sa.text("'[]'"), sa.text("''")
    op.add_column("winslow_projects", sa.Column("tags", JSON, nullable=False, server_default=none))
    op.add_column("winslow_projects", sa.Column("notes", sa.Text, nullable=False, server_default=empty))
    op.add_column("winslow_projects", sa.Column("latest_run", sa.String(64)))
    op.execute(
        "UPDATE winslow_projects SET latest_run = (SELECT run_id FROM winslow_runs "
        "WHERE project = winslow_projects.name ORDER BY launched_at DESC LIMIT 1)"
    )
    # It names several stages at times.
    with op.batch_alter_table("winslow_runs") as batch:
        batch.alter_column("start_from", existing_type=sa.String(63), type_=sa.Text)
    op.add_column("winslow_runs", sa.Column("via", sa.String(32), nullable=False, server_default=empty))
    op.add_column("winslow_runs", sa.Column("why", sa.Text, nullable=False, server_default=empty))
    op.add_column("winslow_runs", sa.Column("sweep", sa.String(64)))
    op.add_column("winslow_runs", sa.Column("ended_at", TIME))
    op.add_column("winslow_runs", sa.Column("outcome", sa.String(32)))
    op.add_column("winslow_runs", sa.Column("reason", sa.Text, nullable=False, server_default=empty))
    op.create_index("ix_winslow_runs_sweep", "winslow_runs", ["sweep"])
    is_open = sa.text("ended_at IS NULL")
    op.create_index("ix_winslow_runs_open", "winslow_runs", ["project"], sqlite_where=is_open, postgresql_where=is_open)
    op.add_column("winslow_attempts", sa.Column("inputs", JSON, nullable=False, server_default=sa.text("'{}'")))
    op.add_column("winslow_attempts", sa.Column("output_address", sa.Text))
    op.add_column("winslow_attempts", sa.Column("fingerprint", sa.String(64)))
    op.add_column("winslow_attempts", sa.Column("reused_from", sa.String(200)))
    op.add_column("winslow_attempts", sa.Column("outputs_removed_at", TIME))
    _tell_what_attempts_worked_on(op)
    op.create_index("ix_winslow_attempts_run_id", "winslow_attempts", ["run_id"])
    op.create_index("ix_winslow_attempts_fingerprint", "winslow_attempts", ["fingerprint"])
    op.create_index("ix_winslow_attempts_output_address", "winslow_attempts", ["output_address"])
    op.create_table(
        "winslow_holds",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(63), nullable=False),
        _of_project(),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("form", JSON),
        sa.Column("held_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stage", name="pk_winslow_holds"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_holds_project"),
    )
    op.create_table(
        "winslow_pauses",
        sa.Column("run_id", sa.String(64), nullable=False),
        _of_project(),
        sa.Column("after_stage", sa.String(63)),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("withdrawn_at", TIME),
        sa.PrimaryKeyConstraint("run_id", name="pk_winslow_pauses"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_pauses_project"),
    )
    op.create_table(
        "winslow_answers",
        _of_project(),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("stage", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("form", JSON, nullable=False),
        sa.Column("values", JSON, nullable=False),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("manifest", JSON, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("given_at", TIME, nullable=False),
        sa.Column("given_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project", "pipeline", "stage", "version", name="pk_winslow_answers"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_answers_project"),
    )
    op.create_table(
        "winslow_picks",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        _of_project(),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("stage", sa.String(63), nullable=False),
        sa.Column("task_id", sa.String(200), nullable=False),
        sa.Column("picked_at", TIME, nullable=False),
        sa.Column("picked_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_winslow_picks"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_picks_project"),
    )
    op.create_index("ix_winslow_picks_project", "winslow_picks", ["project", "pipeline"])
    op.create_table(
        "winslow_todos",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        _of_project(),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("done_at", TIME),
        sa.Column("done_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_winslow_todos"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_todos_project"),
    )
    op.create_index("ix_winslow_todos_project", "winslow_todos", ["project"])
    op.create_table(
        "winslow_audit",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("via", sa.String(32), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("project", sa.String(63)),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_winslow_audit"),
    )
    op.create_index("ix_winslow_audit_at", "winslow_audit", ["at"])
    op.create_index("ix_winslow_audit_project_at", "winslow_audit", ["project", "at"])
    op.create_table(
        "winslow_pins",
        sa.Column("task_id", sa.String(200), nullable=False),
        _of_project(),
        sa.Column("pinned_at", TIME, nullable=False),
        sa.Column("pinned_by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_winslow_pins"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_pins_project"),
    )
    op.create_table(
        "winslow_retention",
        sa.Column("project", sa.String(63), nullable=False),
        sa.Column("rules", JSON, nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_winslow_retention"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_retention_project"),
    )
    op.create_table(
        "winslow_removals",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        _of_project(),
        sa.Column("stage", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("paths", JSON),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        sa.Column("freed_bytes", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_winslow_removals"),
        sa.ForeignKeyConstraint(["project"], ["winslow_projects.name"], name="fk_winslow_removals_project"),
    )
    op.create_index("ix_winslow_removals_project", "winslow_removals", ["project"])
    op.create_index("ix_winslow_removals_done_at", "winslow_removals", ["done_at"])
    op.create_table(
        "winslow_landings",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("watch", sa.String(63), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("project", sa.String(63)),
        sa.Column("run_id", sa.String(64)),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("steady_since", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_winslow_landings"),
    )
    op.create_index("ix_winslow_landings_state", "winslow_landings", ["state"])
    op.create_index("uq_winslow_landings_watch_path", "winslow_landings", ["watch", "path"], unique=True)
    op.create_table(
        "winslow_notices",
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("project", sa.String(63)),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("noticed_at", TIME, nullable=False),
        sa.Column("sent_at", TIME),
        sa.Column("tried_at", TIME),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_failure", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("channel", "key", name="pk_winslow_notices"),
    )
    op.create_index("ix_winslow_notices_sent_at", "winslow_notices", ["sent_at"])
    op.create_table(
        "winslow_pool",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("manifest", JSON, nullable=False),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_winslow_pool"),
    )


def _tell_what_attempts_worked_on(op: Operations) -> None:
    """Fill the new columns of attempts from what each has as JSON."""
    table = sa.table(
        "winslow_attempts",
        sa.column("task_id"),
        sa.column("task", JSON),
        sa.column("manifest", JSON),
        sa.column("inputs", JSON),
        sa.column("output_address"),
    )
    connection = op.get_bind()
    for task_id, task, manifest in connection.execute(sa.select(table.c.task_id, table.c.task, table.c.manifest)).all():
        worked_on = {stage: outputs["address"] for stage, outputs in task.get("inputs", {}).items()}
        address = manifest["address"] if manifest else None
        connection.execute(
            table.update().where(table.c.task_id == task_id).values(inputs=worked_on, output_address=address)
        )


STEPS: tuple[Step, ...] = (first_tables, living_projects)


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
