"""A feed of the projects and attempts that have changed since a cursor, whoever changed them.

Triggers write a row for each change, in the transaction of the change, so that no caller can forget it.
PostgreSQL transactions do not commit in the order in which they begin, and a late commit must not be missed. A cursor
is therefore a snapshot, that is the set of transactions that had ended, and changes are the rows of all others.
SQLite has one writer at a time: its row numbers are in commit order, and the last one serves as the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Column, Connection, Table, func, or_, select, text

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database

CHANGES_KEPT = timedelta(days=1)
"""How long a cursor is valid."""
PROJECT_OF_RUN = "(SELECT project FROM winslow_runs WHERE run_id = {row}.run_id)"
WATCHED: dict[Table, tuple[str, str]] = {
    schema.projects: ("{row}.name", "NULL"),
    schema.attempts: ("{row}.project", "{row}.task_id"),
    schema.pins: ("{row}.project", "{row}.task_id"),
    schema.picks: ("{row}.project", "{row}.task_id"),
    schema.run_outputs: (PROJECT_OF_RUN, "NULL"),
    **dict.fromkeys(
        (
            schema.inputs,
            schema.runs,
            schema.holds,
            schema.pauses,
            schema.queue,
            schema.answers,
            schema.drafts,
            schema.todos,
            schema.dismissals,
            schema.audit,
            schema.retention,
            schema.removals,
        ),
        ("{row}.project", "NULL"),
    ),
}
"""Table -> SQL for the project and the attempt that a row belongs to."""
UNWATCHED = frozenset(
    {
        schema.schema_version,
        schema.installation,
        schema.locks,
        schema.changes,
        schema.pool,
        schema.quotas,
        schema.measured_space,
        schema.disk_samples,
        schema.uploads,
        schema.footage_checks,
        schema.ingest_files,
        schema.settings,
        schema.channels,
        schema.ingest_problems,
        schema.messages,
        schema.saved_views,
        schema.charts,
        schema.people,
        schema.groups,
        schema.memberships,
        schema.sessions,
        schema.tokens,
        schema.shares,
        schema.login_links,
        schema.login_tries,
    }
)
"""Tables that are not part of a project."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids that changed, and the cursor for the next call.

    `missed`: the cursor was too old, or belongs to another database. Anything may have changed.
    """

    cursor: str
    projects: frozenset[str] = frozenset()
    attempts: frozenset[str] = frozenset()
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The positions that were visible: all below `low`, and those below `high` that are not in `open`."""

    low: int
    high: int
    open: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Parse PostgreSQL's text form, such as 10:20:10,14. Raises ValueError."""
        low, high, still_open = cursor.split(":")
        return cls(int(low), int(high), frozenset(map(int, filter(None, still_open.split(",")))))

    def contains(self, position: int) -> bool:
        """Whether this position was visible."""
        return position < self.low or (position < self.high and position not in self.open)


class ChangeFeed:
    """Every method is one transaction. All raise ServiceUnavailable if the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def changes(self, since: str | None = None) -> Changes:
        """What has changed after the cursor `since`. Without one, only the cursor from which to start.

        A change may be reported twice, but is never missed.
        """
        table = schema.changes
        with self._database.reading() as connection:
            # Taken before the rows are read: a commit in between is reported twice instead of never.
            cursor = _now(connection)
            if since is None:
                return Changes(cursor)
            try:
                before = Snapshot.parse(since)
            except ValueError:
                return Changes(cursor, missed=True)
            position = _position(connection)
            pruned = connection.execute(select(func.max(table.c.position)).where(table.c.project.is_(None))).scalar()
            if before.high > Snapshot.parse(cursor).high or (pruned is not None and pruned >= before.low):
                return Changes(cursor, missed=True)
            query = select(table.c.project, table.c.attempt, position).distinct()
            rows = connection.execute(query.where(position >= before.low, table.c.project.is_not(None))).all()
        news = [(project, attempt) for project, attempt, at in rows if not before.contains(at)]
        return Changes(
            cursor,
            frozenset(project for project, _ in news),
            frozenset(attempt for _, attempt in news if attempt is not None),
        )

    def prune(self, before: datetime) -> int:
        """Delete rows noted before then. Returns their number. Older cursors get `missed`."""
        table = schema.changes
        old = table.c.noted_at < before
        mark = table.c.project.is_(None)
        with self._database.writing() as connection:
            position = _position(connection)
            last = connection.execute(select(func.max(position)).where(old, ~mark)).scalar()
            if last is None:
                return 0
            marked = connection.execute(select(func.max(table.c.position)).where(mark)).scalar()
            deleted = connection.execute(table.delete().where(or_(old, mark))).rowcount
            # Marks how far the pruned rows reached.
            row = {"position": max(last, marked or 0), "noted_at": before}
            connection.execute(table.insert().values(row))
        return deleted


def create_triggers(connection: Connection) -> None:
    """Create the triggers, on tables that have just been created."""
    postgresql = connection.dialect.name == "postgresql"
    for table, (project, attempt) in WATCHED.items():
        for statement in (_postgresql if postgresql else _sqlite)(table.name, project, attempt):
            connection.execute(text(statement))


def _postgresql(table: str, project: str, attempt: str) -> tuple[str, ...]:
    values = f"{project}, {attempt}, pg_current_xact_id()::text::bigint, clock_timestamp()".format(row="changed")
    return (
        f"""CREATE FUNCTION {table}_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE changed {table}%ROWTYPE;
        BEGIN
            IF TG_OP = 'DELETE' THEN changed := OLD; ELSE changed := NEW; END IF;
            INSERT INTO winslow_changes (project, attempt, position, noted_at)
                SELECT {values} WHERE {project.format(row="changed")} IS NOT NULL;
            RETURN NULL;
        END $$""",
        f"""CREATE TRIGGER {table}_changed AFTER INSERT OR UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {table}_changed()""",
    )


def _sqlite(table: str, project: str, attempt: str) -> tuple[str, ...]:
    statements = []
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        whose = project.format(row=row)
        values = f"{whose}, {attempt.format(row=row)}, strftime('%Y-%m-%d %H:%M:%f000', 'now')"
        statements.append(
            f"""CREATE TRIGGER {table}_{event.lower()} AFTER {event} ON {table} BEGIN
            INSERT INTO winslow_changes (project, attempt, noted_at) SELECT {values} WHERE {whose} IS NOT NULL;
            END"""
        )
    return tuple(statements)


def _position(connection: Connection) -> Column[int]:
    return schema.changes.c.position if connection.dialect.name == "postgresql" else schema.changes.c.id


def _now(connection: Connection) -> str:
    if connection.dialect.name == "postgresql":
        return str(connection.execute(text("SELECT pg_current_snapshot()::text")).scalar_one())
    following = (connection.execute(select(func.max(schema.changes.c.id))).scalar() or 0) + 1
    return f"{following}:{following}:"
