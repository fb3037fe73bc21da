"""The project tables. Their names have a prefix, because Dagster may have its `runs` in the same PostgreSQL database.

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
    ColumnElement,
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
    select,
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
    """An aware datetime, stored as UTC. SQLite stores no time zones, so that they are added on reading."""

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

# One row: which installation this database belongs to. A web server that does not name the same id is another one's.
installation = Table(
    "winslow_installation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", Utc, nullable=False),
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
    # The run launched last, so that listing ten thousand projects need not search their runs.
    Column("latest_run", String(64)),
    # Who may act on it: its owner, and the members of its group; without a group, every operator.
    Column("owner", Text, nullable=False),
    Column("group", String(63)),
    # Deleted: hidden, and kept for a while, so that it can be restored.
    Column("deleted_at", Utc),
    Column("deleted_by", Text),
    Column("delete_reason", Text),
    # From here on it is being removed for good, and cannot be restored.
    Column("purged_at", Utc),
    Index(
        "ix_winslow_projects_deleted_at",
        "deleted_at",
        sqlite_where=text("deleted_at IS NOT NULL"),
        postgresql_where=text("deleted_at IS NOT NULL"),
    ),
    Index(
        "ix_winslow_projects_group",
        "group",
        sqlite_where=text('"group" IS NOT NULL'),
        postgresql_where=text('"group" IS NOT NULL'),
    ),
)
LIVE = projects.c.deleted_at.is_(None)
"""Whether the project is not deleted."""


def of_live_project(name: ColumnElement[str | None]) -> ColumnElement[bool]:
    """Whether the project of this name is not deleted. True where there is no project of the name."""
    return name.is_(None) | name.not_in(select(projects.c.name).where(~LIVE))


inputs = Table(
    "winslow_inputs",
    metadata,
    _project(),
    Column("name", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    # The file of the pool that it is, so that the projects that have one are found without reading lists of files.
    Column("pool_id", String(32)),
    Column("original_path", Text, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("added_by", Text, nullable=False),
    # The last column: SQLite reads a long one to get at those after it.
    Column("manifest", Json, nullable=False),
    PrimaryKeyConstraint("project", "name", "version"),
    Index("ix_winslow_inputs_pool_id", "pool_id", "project"),
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
    # How the run was requested (cli, python, sensor, dagit), and the requester's reason.
    Column("via", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    # The same for all runs of one sweep.
    Column("sweep", String(64)),
    # How it ended, written once: Dagster may delete a run, a project's history keeps it.
    Column("ended_at", Utc),
    Column("outcome", String(32)),
    Column("outcome_reason", Text, nullable=False),
    # Since when Dagster has had no record of it. An end that was concluded from this is corrected if one turns up.
    Column("missing_since", Utc),
    # What its worker is waiting for between two stages, such as the store; null while it does not wait.
    Column("waits_for", Text),
    Index("ix_winslow_runs_project_launched_at", "project", "launched_at"),
    Index("ix_winslow_runs_sweep", "sweep"),
    Index(
        "ix_winslow_runs_open",
        "project",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(
        "ix_winslow_runs_missing",
        "project",
        sqlite_where=text("missing_since IS NOT NULL"),
        postgresql_where=text("missing_since IS NOT NULL"),
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
    # The StageTask: every parameter of an attempt, for history and comparison.
    Column("task", Json, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("outcome", String(32)),
    Column("message", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("mode", String(16)),
    Column("image_digest", Text),
    # The StageResult without its outputs, which are `manifest`. Listings read neither.
    Column("result", Json),
    Column("manifest", Json),
    # Upstream stage -> address of the outputs that it used, and the address of its own outputs: enough to find what is
    # out of date without reading `task` and `manifest`.
    Column("inputs", Json, nullable=False),
    Column("output_address", Text),
    # Everything that determines the outputs except the image digest: equal attempts can replace each other.
    Column("fingerprint", String(64)),
    # The attempt whose outputs this one took over instead of running.
    Column("reused_from", String(200)),
    # When retention removed its outputs. The row stays.
    Column("outputs_removed_at", Utc),
    # The space that its own outputs and its log still take: files of other attempts among its outputs do not count.
    Column("outputs_bytes", BigInteger, nullable=False, default=0),
    Column("log_bytes", BigInteger, nullable=False, default=0),
    Index("ix_winslow_attempts_project_stage", "project", "stage", "ended_at"),
    Index("ix_winslow_attempts_pipeline_stage", "pipeline", "stage", "ended_at"),
    Index("ix_winslow_attempts_run_id", "run_id"),
    Index("ix_winslow_attempts_ended_at", "ended_at"),
    Index("ix_winslow_attempts_fingerprint", "fingerprint"),
    Index("ix_winslow_attempts_output_address", "output_address"),
    # Everything about space, so that ten thousand projects are summed up without reading the rows.
    Index("ix_winslow_attempts_space", "project", "pipeline", "stage", "ended_at", "outputs_bytes", "log_bytes"),
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
    # A stage that a run did not start: the run was paused, a question is open, or an earlier check failed.
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
    # Only stages after this one are held back; if NULL, every stage that has not started.
    Column("after_stage", String(63)),
    Column("asked_at", Utc, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("withdrawn_at", Utc),
)

queue = Table(
    "winslow_queue",
    metadata,
    # What people said about a waiting run. The queue itself is Dagster's.
    Column("run_id", String(64), primary_key=True),
    _project(),
    Column("priority", Integer),
    Column("held_at", Utc),
    Column("held_by", Text),
    Column("hold_reason", Text),
)

answers = Table(
    "winslow_answers",
    metadata,
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("stage", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    # The question and its answer. `manifest` is what the stage reads: answer.json and the files that came with it.
    Column("form", Json, nullable=False),
    Column("values", Json, nullable=False),
    Column("variables", Json, nullable=False),
    Column("manifest", Json, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("given_at", Utc, nullable=False),
    Column("given_by", Text, nullable=False),
    PrimaryKeyConstraint("project", "pipeline", "stage", "version"),
)

drafts = Table(
    "winslow_drafts",
    metadata,
    # What somebody has entered for a question and not sent yet. Of each person one; nobody writes over another's.
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("stage", String(63), nullable=False),
    Column("author", Text, nullable=False),
    # Of the form: a draft is of no use for a question that asks for something else.
    Column("form_digest", String(64), nullable=False),
    # Counts the changes, so that two windows of the same person do not write over each other.
    Column("version", Integer, nullable=False),
    Column("values", Json, nullable=False),
    Column("saved_at", Utc, nullable=False),
    PrimaryKeyConstraint("project", "pipeline", "stage", "author"),
)

picks = Table(
    "winslow_picks",
    metadata,
    # A person's choice of the attempt whose outputs a stage has. The latest choice or success counts.
    Column("id", Integer, primary_key=True, autoincrement=True),
    _project(),
    Column("pipeline", String(63), nullable=False),
    Column("stage", String(63), nullable=False),
    Column("task_id", String(200), nullable=False),
    Column("picked_at", Utc, nullable=False),
    Column("picked_by", Text, nullable=False),
    Index("ix_winslow_picks_project", "project", "pipeline"),
)

dismissals = Table(
    "winslow_dismissals",
    metadata,
    # Somebody has taken note of a failed run. A later run that fails is another one.
    Column("project", String(63), ForeignKey("winslow_projects.name"), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("dismissed_at", Utc, nullable=False),
    Column("dismissed_by", Text, nullable=False),
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
    Index("ix_winslow_audit_who", "who", "id"),
    Index("ix_winslow_audit_action", "action", "id"),
)

pins = Table(
    "winslow_pins",
    metadata,
    # Attempts whose outputs no retention rule removes.
    Column("task_id", String(200), primary_key=True),
    _project(),
    Column("pinned_at", Utc, nullable=False),
    Column("pinned_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

retention = Table(
    "winslow_retention",
    metadata,
    # A project's own retention rules. They take precedence over those of its pipeline.
    Column("project", String(63), ForeignKey("winslow_projects.name"), primary_key=True),
    Column("rules", Json, nullable=False),
    Column("set_at", Utc, nullable=False),
    Column("set_by", Text, nullable=False),
)

removals = Table(
    "winslow_removals",
    metadata,
    # What retention removes. Recorded before it is deleted, so that another process can finish the work.
    Column("id", Integer, primary_key=True, autoincrement=True),
    _project(),
    Column("stage", String(63), nullable=False),
    # outputs and log are trees in the store; leftovers are on the node, with a task id as address.
    Column("kind", String(16), nullable=False),
    Column("address", Text, nullable=False),
    # The removed files; NULL is the whole tree.
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

settings = Table(
    "winslow_settings",
    metadata,
    # Settings of the installation that administrators change while it runs, as YAML with their comments.
    Column("name", String(63), primary_key=True),
    Column("text", Text, nullable=False),
    # Counts the changes, so that nobody replaces what he has not seen.
    Column("version", Integer, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("changed_by", Text, nullable=False),
)

channels = Table(
    "winslow_channels",
    metadata,
    # Where messages are sent, beside the channels of the notification file. An empty owner: everybody's.
    Column("owner", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    # An Apprise URL, with the tokens and passwords in it.
    Column("url", Text, nullable=False),
    Column("subscriptions", Json, nullable=False),
    # Counts the changes, so that nobody replaces what he has not seen.
    Column("version", Integer, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("changed_by", Text, nullable=False),
)

ingest_problems = Table(
    "winslow_ingest_problems",
    metadata,
    # Why the last scan of a watched folder did not do everything. No row: it did.
    Column("watch", String(63), primary_key=True),
    Column("problem", Text, nullable=False),
    Column("since", Utc, nullable=False),
)

messages = Table(
    "winslow_messages",
    metadata,
    # The key is what happened, so that a channel gets one message about it. A person's channel is `person/name`.
    Column("channel", String(127), primary_key=True),
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

saved_views = Table(
    "winslow_saved_views",
    metadata,
    # A list of projects under a name: how it is filtered, sorted and grouped. Others see it if it is shared.
    Column("owner", Text, primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("shared", Boolean, nullable=False),
    Column("filter", Text, nullable=False),
    Column("sort", String(16), nullable=False),
    Column("descending", Boolean, nullable=False),
    Column("group", String(16)),
    Column("saved_at", Utc, nullable=False),
)

charts = Table(
    "winslow_charts",
    metadata,
    # A chart of a file that a stage writes, shown with the results of each of its attempts.
    Column("pipeline", String(63), primary_key=True),
    Column("stage", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("file", Text, nullable=False),
    Column("query", Json, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", Utc, nullable=False),
)

POOL_ADDRESS = "pool"
"""The first part of the addresses of files in the pool. The last one is their id."""

pool = Table(
    "winslow_pool",
    metadata,
    # Files that any project may use as an input, stored once. Names change; addresses, which end with the id, do not.
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False),
    # Of the manifest, so that a list need not read it.
    Column("file_name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("files", Integer, nullable=False),
    Column("original_path", Text, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("added_by", Text, nullable=False),
    # Deleted: kept for a while, so that it can be restored. Perhaps another file took its place.
    Column("deleted_at", Utc),
    Column("deleted_by", Text),
    Column("replaced_by", String(32)),
    # From here on it is being removed for good, and cannot be restored.
    Column("purged_at", Utc),
    # The last column, as that of inputs.
    Column("manifest", Json, nullable=False),
    Index(
        "uq_winslow_pool_name",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
)

quotas = Table(
    "winslow_quotas",
    metadata,
    # How much space a project, or everything of an owner, may take. `*` is for all without a quota of their own.
    Column("kind", String(16), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("limit_bytes", BigInteger, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Utc, nullable=False),
)

measured_space = Table(
    "winslow_measured_space",
    metadata,
    # What can only be found out by looking at a disk, and when somebody last did.
    Column("kind", String(16), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("measured_at", Utc, nullable=False),
)

disk_samples = Table(
    "winslow_disk_samples",
    metadata,
    # The free space of each node over the last day, from which it is told when a disk will be full.
    Column("node", String(255), primary_key=True),
    Column("at", Utc, primary_key=True),
    Column("free_bytes", BigInteger, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
)

uploads = Table(
    "winslow_uploads",
    metadata,
    # Files that a person sends to the pool in parts. How much is here, the disk says.
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("file_name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    # Of the beginning and the end of the file: whether it is the same one that is chosen again.
    Column("fingerprint", String(64), nullable=False),
    Column("owner", Text, nullable=False),
    Column("begun_at", Utc, nullable=False),
    # "file", or "directory" for a stream of several files.
    Column("kind", String(16), nullable=False),
    # The id of the file of the pool whose place it is to take.
    Column("replaces", String(32)),
    Column("state", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("ended_at", Utc),
    Index(
        "uq_winslow_uploads_name",
        "name",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

footage_checks = Table(
    "winslow_footage_checks",
    metadata,
    # Whether videos of the pool can be read to their end, by content.
    Column("blake3", String(64), primary_key=True),
    # What it is, in a sentence.
    Column("found", Text, nullable=False),
    # What is wrong with it, in a sentence.
    Column("problem", Text, nullable=False),
    Column("checked_at", Utc, nullable=False),
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

people = Table(
    "winslow_people",
    metadata,
    # Those who log in. They are disabled and not deleted: projects and the audit trail name them.
    Column("name", String(63), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    # Null: logs in by a link from the shell, or as `subject`.
    Column("password_hash", Text),
    # Issuer and subject of a person whom an OpenID provider knows.
    Column("subject", String(500), unique=True),
    Column("created_at", Utc, nullable=False),
    Column("disabled_at", Utc),
)

groups = Table(
    "winslow_groups",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at", Utc, nullable=False),
)

memberships = Table(
    "winslow_memberships",
    metadata,
    Column("group", String(63), ForeignKey("winslow_groups.name"), primary_key=True),
    Column("person", String(63), ForeignKey("winslow_people.name"), primary_key=True),
)

sessions = Table(
    "winslow_sessions",
    metadata,
    # Of each random key only the hash: who reads this table cannot log in with it.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("person", String(63), ForeignKey("winslow_people.name"), nullable=False),
    # How the person logged in: password, link, oidc.
    Column("method", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    # Logged out, or revoked. The row stays for a while: the person is known at this address.
    Column("ended_at", Utc),
    Index("ix_winslow_sessions_person", "person"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "winslow_tokens",
    metadata,
    # Keys of programs, which act as a person with at most this role.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("person", String(63), ForeignKey("winslow_people.name"), nullable=False),
    Column("label", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("used_at", Utc),
    Column("used_from", String(64), nullable=False),
    Index("ix_winslow_tokens_person", "person"),
    sqlite_autoincrement=True,
)

shares = Table(
    "winslow_shares",
    metadata,
    # Links by which somebody without an account downloads one file or folder. They stay after their end.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("project", String(63)),
    Column("name", Text, nullable=False),
    Column("thing", Json, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("revoked_at", Utc),
    Column("revoked_by", Text, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("used_at", Utc),
    Column("used_from", String(64), nullable=False),
    Index("ix_winslow_shares_created_by", "created_by"),
    sqlite_autoincrement=True,
)

login_links = Table(
    "winslow_login_links",
    metadata,
    # Links that log in once. Without a person: the first one, who chooses a name.
    Column("key_hash", String(64), primary_key=True),
    Column("person", String(63), ForeignKey("winslow_people.name")),
    Column("expires_at", Utc, nullable=False),
)

login_tries = Table(
    "winslow_login_tries",
    metadata,
    # Failed tries in a row, by the name or the address that they came with (hashed: names may be passwords).
    Column("key_hash", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("wait_until", Utc, nullable=False),
    Index("ix_winslow_login_tries_wait_until", "wait_until"),
)
