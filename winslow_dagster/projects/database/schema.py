"""The project tables. Named with a prefix, because Dagster keeps its own `runs` in the same PostgreSQL database.

What happened is only ever added to: an attempt, a run and an input's version are written once, and a project's state
is derived from them. Names are keys: they are directories, partition keys and container labels too, and cannot change.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
    Column("tags", Json, nullable=False),
    Column("notes", Text, nullable=False),
    # The run launched last, so that ten thousand projects are listed without looking through their runs.
    Column("latest_run", String(64)),
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
    Column("start_from", Text),
    Column("stop_after", String(63)),
    Column("settings", Json, nullable=False),
    Column("requested_by", Text, nullable=False),
    # By which door it was asked for: cli, python, sensor, dagit, …; and why, in the words of who asked.
    Column("via", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    # The runs of one sweep have this in common.
    Column("sweep", String(64)),
    # How it ended, written once: Dagster may forget a run, a project's history does not.
    Column("ended_at", Utc),
    Column("outcome", String(32)),
    Column("outcome_reason", Text, nullable=False),
    Index("ix_winslow_runs_project_launched_at", "project", "launched_at"),
    Index("ix_winslow_runs_sweep", "sweep"),
    Index(
        "ix_winslow_runs_open",
        "project",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
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
    # Upstream stage -> address of the outputs it worked on, and the address of its own: what is out of date is told
    # by these, and listings read neither `task` nor `manifest`.
    Column("inputs", Json, nullable=False),
    Column("output_address", Text),
    # What made the outputs, but for the image's digest: attempts with the same one may stand for each other.
    Column("fingerprint", String(64)),
    # The attempt whose outputs this one took instead of running.
    Column("reused_from", String(200)),
    # Retention took its outputs; what happened stays.
    Column("outputs_removed_at", Utc),
    Index("ix_winslow_attempts_project_stage", "project", "stage", "ended_at"),
    Index("ix_winslow_attempts_run_id", "run_id"),
    Index("ix_winslow_attempts_fingerprint", "fingerprint"),
    Index("ix_winslow_attempts_output_address", "output_address"),
    Index(
        "ix_winslow_attempts_open",
        "run_id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(
        "uq_winslow_attempts_one_success",
        "run_id",
        "stage",
        unique=True,
        sqlite_where=text("outcome = 'succeeded'"),
        postgresql_where=text("outcome = 'succeeded'"),
    ),
)

run_outputs = Table(
    "winslow_handed_on",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("stage", String(63), primary_key=True),
    Column("manifest", Json, nullable=False),
)

holds = Table(
    "winslow_holds",
    metadata,
    # A stage that a run did not begin, and why: it was paused, waits for a person, or a check failed before it.
    Column("run_id", String(64), primary_key=True),
    Column("stage", String(63), primary_key=True),
    _project(),
    Column("cause", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("form", Json),
    Column("held_at", Utc, nullable=False),
)

pauses = Table(
    "winslow_pauses",
    metadata,
    Column("run_id", String(64), primary_key=True),
    _project(),
    # Only what follows this stage is held back; without it, every stage that has not begun.
    Column("after_stage", String(63)),
    Column("asked_at", Utc, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("withdrawn_at", Utc),
)

answers = Table(
    "winslow_answers",
    metadata,
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("stage", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    # What was asked and what was said. `manifest` is what the stage reads: answer.json and the files that came along.
    Column("form", Json, nullable=False),
    Column("values", Json, nullable=False),
    Column("variables", Json, nullable=False),
    Column("manifest", Json, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("given_at", Utc, nullable=False),
    Column("given_by", Text, nullable=False),
    PrimaryKeyConstraint("project", "pipeline", "stage", "version"),
)

picks = Table(
    "winslow_picks",
    metadata,
    # A person's word on which attempt's outputs a stage has now; the latest word or success stands.
    Column("id", Integer, primary_key=True, autoincrement=True),
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("stage", String(63), nullable=False),
    Column("task_id", String(200), nullable=False),
    Column("picked_at", Utc, nullable=False),
    Column("picked_by", Text, nullable=False),
    Index("ix_winslow_picks_project", "project", "pipeline"),
)

todos = Table(
    "winslow_todos",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _project(),
    Column("text", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("done_at", Utc),
    Column("done_by", Text),
    Index("ix_winslow_todos_project", "project"),
)

audit = Table(
    "winslow_audit",
    metadata,
    # Who did what, when, to which project, from where. A project's name stays here also where the project is gone.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("who", Text, nullable=False),
    Column("via", String(32), nullable=False),
    Column("host", Text, nullable=False),
    Column("project", String(63)),
    Column("action", String(32), nullable=False),
    Column("details", Json, nullable=False),
    Index("ix_winslow_audit_project_at", "project", "at"),
    Index("ix_winslow_audit_at", "at"),
)

pins = Table(
    "winslow_pins",
    metadata,
    # Attempts whose outputs no retention rule takes.
    Column("task_id", String(200), primary_key=True),
    _project(),
    Column("pinned_at", Utc, nullable=False),
    Column("pinned_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

retention = Table(
    "winslow_retention",
    metadata,
    # A project's own rules of what is kept: they are asked before those of its pipeline.
    Column("project", String(63), ForeignKey("winslow_projects.name"), primary_key=True),
    Column("rules", Json, nullable=False),
    Column("set_at", Utc, nullable=False),
    Column("set_by", Text, nullable=False),
)

removals = Table(
    "winslow_removals",
    metadata,
    # What housekeeping took. Decided here first: what was not done when a process died is done by the next.
    Column("id", Integer, primary_key=True, autoincrement=True),
    _project(),
    Column("stage", String(63), nullable=False),
    # outputs and log are trees of the store; leftovers lie on the node, and their address is a task id.
    Column("kind", String(16), nullable=False),
    Column("address", Text, nullable=False),
    # The files that went; None is the whole tree.
    Column("paths", Json),
    Column("size_bytes", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Utc, nullable=False),
    Column("done_at", Utc),
    Column("freed_bytes", BigInteger),
    Index("ix_winslow_removals_project", "project"),
    Index("ix_winslow_removals_done_at", "done_at"),
)

ingest_files = Table(
    "winslow_ingest_files",
    metadata,
    # One version of a file found in a watched folder; `project` is None until it has been given one.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("watch", String(63), nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("project", String(63)),
    Column("run_id", String(64)),
    Column("seen_at", Utc, nullable=False),
    Column("unchanged_since", Utc, nullable=False),
    Column("state_since", Utc),
    Index("uq_winslow_ingest_files_watch_path", "watch", "path", unique=True),
    Index("ix_winslow_ingest_files_state", "state"),
)

messages = Table(
    "winslow_messages",
    metadata,
    # The key is what happened, so that a channel gets one message about it.
    Column("channel", String(63), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("project", String(63)),
    Column("event", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("sent_at", Utc),
    Column("tried_at", Utc),
    Column("failures", Integer, nullable=False),
    Column("last_failure", Text, nullable=False),
    Index("ix_winslow_messages_sent_at", "sent_at"),
)

pool = Table(
    "winslow_pool",
    metadata,
    # Files that any project may take as an input, stored once.
    Column("name", String(63), primary_key=True),
    Column("manifest", Json, nullable=False),
    Column("original_path", Text, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("added_by", Text, nullable=False),
)

locks = Table(
    "winslow_locks",
    metadata,
    # Who holds an advisory lock of PostgreSQL. The row of a process that died stays until the next one takes the lock.
    Column("name", String(100), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("since", Utc, nullable=False),
)

changes = Table(
    "winslow_changes",
    metadata,
    # Written by triggers (`change_feed.py`). A row without a project marks up to where earlier rows were pruned.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("project", String(63)),
    Column("attempt", String(200)),
    # On PostgreSQL the transaction; SQLite goes by `id`.
    Column("position", BigInteger),
    Column("noted_at", Utc, nullable=False),
    Index("ix_winslow_changes_position", "position"),
    Index("ix_winslow_changes_noted_at", "noted_at"),
    Index(
        "ix_winslow_changes_pruned",
        "position",
        sqlite_where=text("project IS NULL"),
        postgresql_where=text("project IS NULL"),
    ),
    sqlite_autoincrement=True,
)
