"""The project tables. Named with a prefix, because Dagster keeps its own `runs` in the same PostgreSQL database.

What happened is only ever added to: an attempt, a run and an input's version are written once, and a project's state
is derived from them. Names are keys: they are directories, partition keys and container labels too, and cannot change.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Utc(TypeDecorator[datetime]):
    """An aware datetime, kept as UTC. SQLite has no zones, so what it gives back is told its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC. Raises ValueError for a datetime without a zone."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _project() -> Column[str]:
    return Column("project", String(63), ForeignKey("winslow_projects.name"), nullable=False)


schema_version = Table(
    "winslow_schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", Utc, nullable=False),
)

projects = Table(
    "winslow_projects",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("pipeline", String(63), nullable=False),
    Column("pipeline_digest", String(64), nullable=False),
    Column("env", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
)

inputs = Table(
    "winslow_inputs",
    metadata,
    _project(),
    Column("name", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("manifest", Json, nullable=False),
    Column("original_path", Text, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("added_by", Text, nullable=False),
    PrimaryKeyConstraint("project", "name", "version"),
)


runs = Table(
    "winslow_runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("pipeline_digest", String(64), nullable=False),
    Column("launched_at", Utc, nullable=False),
    Column("start_from", String(63)),
    Column("stop_after", String(63)),
    Column("settings", Json, nullable=False),
    Column("requested_by", Text, nullable=False),
    Index("ix_winslow_runs_project_launched_at", "project", "launched_at"),
)

attempts = Table(
    "winslow_attempts",
    metadata,
    Column("task_id", String(200), primary_key=True),
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("pipeline_digest", String(64), nullable=False),
    Column("stage", String(63), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("run_id", String(64), nullable=False),
    # The whole StageTask: every parameter an attempt had, for its history and for comparison.
    Column("task", Json, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("outcome", String(32)),
    Column("message", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("mode", String(16)),
    Column("image_digest", Text),
    # The whole StageResult but for its outputs, which are `manifest`: listings read neither.
    Column("result", Json),
    Column("manifest", Json),
    Index("ix_winslow_attempts_project_stage", "project", "stage", "ended_at"),
    Index(
        "uq_winslow_attempts_one_success",
        "run_id",
        "stage",
        unique=True,
        sqlite_where=text("outcome = 'succeeded'"),
        postgresql_where=text("outcome = 'succeeded'"),
    ),
)

handed_on = Table(
    "winslow_handed_on",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("stage", String(63), primary_key=True),
    Column("manifest", Json, nullable=False),
)
