"""The database of the project tables: SQLite by default, PostgreSQL in production."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, create_engine, event, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectDeleted, ServiceUnavailable, SettingsInvalid
from winslow_dagster.formatting import format_time
from winslow_dagster.projects.database.locks import AdvisoryLocks, FileLocks, LockHolder, NamedLocks
from winslow_dagster.projects.database.schema import installation, projects, schema_version

BUSY_WAIT_S = 60
"""How long a SQLite writer waits for the one before it; transactions here last milliseconds."""
CONNECT_TIMEOUT_S = 10
POOL_SIZE = 10
POOL_TIMEOUT_S = 30.0
LOCK_TIMEOUT_S = 30.0
ADVISORY_LOCK = 0x57494E534C4F57
WRITING = "winslow_writing"
"""The execution option that marks a transaction as a writer from its first statement on."""
SCHEMA_HEAD = 1
"""The newest schema version (`migrations.py`), repeated here to save the import of Alembic where nothing is to do."""


class Database:
    """Transactions on the project tables, upgraded to their newest form on opening. Safe to use from many threads.

    A transaction takes one of `pool_size` connections, and waits up to `pool_timeout_s` for one. Do not begin one
    inside another: threads that hold one connection and wait for a second would wait for each other.
    """

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE, pool_timeout_s: float = POOL_TIMEOUT_S) -> None:
        self._engine = _engine(url, {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": pool_timeout_s})
        self._busy = f"all {pool_size} connections to the project database have been in use for {pool_timeout_s:g} s"
        self._shown = self._engine.url.render_as_string(hide_password=True)
        self._locks: NamedLocks = (
            AdvisoryLocks(self._engine.url)
            if self._engine.dialect.name == "postgresql"
            else FileLocks(Path(f"{self._engine.url.database}.locks"))
        )
        with self._explained():
            self._upgrade()

    @cached_property
    def installation_id(self) -> str:
        """Which installation this database belongs to."""
        with self.reading() as connection:
            found: str = connection.execute(select(installation.c.id)).scalar_one()
        return found

    def answers(self) -> bool:
        """Whether the database answers now."""
        try:
            with self.reading() as connection:
                connection.execute(select(1))
        except ServiceUnavailable:
            return False
        return True

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises ServiceUnavailable when the database does not answer."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, all or nothing. Raises ServiceUnavailable when the database does not answer."""
        with self._explained(), self._engine.execution_options(**{WRITING: True}).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def alone(
        self, name: str, by: LockHolder | None = None, *, where: str = "", timeout_s: float = LOCK_TIMEOUT_S
    ) -> Iterator[None]:
        """Hold the lock of this name on this database inside the block.

        Raises ProjectConflict, naming the holder, where the lock is not free within `timeout_s`.
        """
        with self._explained(), self._locks.hold(name, by or LockHolder(), timeout_s, where or f"lock {name}"):
            yield

    def close(self) -> None:
        """Close all connections."""
        self._locks.close()
        self._engine.dispose()

    def _upgrade(self) -> None:
        if self._version() == SCHEMA_HEAD:
            return
        from winslow_dagster.projects.database.migrations import upgrade

        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
            # Another process may have done it while this one waited for the lock.
            done = _version(connection)
            if done > SCHEMA_HEAD:
                raise ServiceUnavailable(
                    f"the project tables have version {done}; this Winslow supports versions up to {SCHEMA_HEAD}",
                    where=self._shown,
                    remedy="Install the Winslow version that wrote them, or use another WINSLOW_HOME",
                )
            if done < SCHEMA_HEAD:
                upgrade(connection, done)

    def _version(self) -> int:
        with self.reading() as connection:
            return _version(connection)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            # The caller knows what it tried to write twice.
            raise
        except PoolTimeout as error:
            raise ServiceUnavailable(self._busy, where=self._shown) from error
        except DBAPIError as error:
            raise ServiceUnavailable(
                f"the project database failed: {str(error.orig).strip()}",
                where=self._shown,
                remedy="Check that it is running, and that WINSLOW_DATABASE_URL points to it",
            ) from error


def hold_project(connection: Connection, project: str) -> str:
    """The pipeline version the project is pinned to. Raises NotFound, and ProjectDeleted for a deleted one.

    A writer holds the project's row from here until its transaction ends.
    """
    row = hold_any_project(connection, project)
    if row.deleted_at is not None:
        raise deleted_project(row)
    digest: str = row.pipeline_digest
    return digest


HELD = [
    projects.c[name]
    for name in (
        "name",
        "pipeline",
        "pipeline_digest",
        "owner",
        "deleted_at",
        "deleted_by",
        "delete_reason",
        "purged_at",
    )
]
"""What is read of a project's row to decide about it."""


def hold_any_project(connection: Connection, project: str) -> Row[Any]:
    """The row of a project, deleted or not, which a writer holds as above. Raises NotFound."""
    query = select(*HELD).where(projects.c.name == project)
    if connection.get_execution_options().get(WRITING):
        query = query.with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise unknown_project(project)
    return row


def deleted_project(row: Any) -> ProjectDeleted:
    """The error for a project that was deleted, with the columns of its row."""
    what = f"the project {row.name} was deleted by {row.deleted_by} on {format_time(row.deleted_at)}"
    if row.purged_at is not None:
        return ProjectDeleted(f"{what}, and its files are being removed")
    return ProjectDeleted(what, remedy=Action("restore_project", {"project": row.name}))


def unknown_project(project: str) -> NotFound:
    """The error for a project that does not exist."""
    return NotFound(f"there is no project {project!r}", remedy=Action("list_projects"))


def insert(connection: Connection, table: Table) -> Any:
    """An insert that can say what to do on conflict; the two dialects spell it alike in classes of their own."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return (
        connection.execute(select(schema_version.c.version).order_by(schema_version.c.version.desc())).scalars().first()
        or 0
    )


def _engine(url: str, pool: dict[str, Any]) -> Engine:
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
        if kind == "postgresql":
            timeout = {} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_TIMEOUT_S}
            return create_engine(parsed, pool_pre_ping=True, connect_args=timeout, **pool)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise _unusable(str(error)) from error
    if kind != "sqlite" or not parsed.database:
        raise _unusable(f"it names {kind}")
    file = Path(parsed.database)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Only its owner may read it, and what SQLite creates beside it: projects have secrets among their variables.
        if not file.exists():
            file.touch(mode=0o600)
    except OSError as error:
        raise ServiceUnavailable(f"cannot create the database: {error}", where=str(file)) from error
    engine = create_engine(parsed, connect_args={"timeout": BUSY_WAIT_S}, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _unusable(why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"WINSLOW_DATABASE_URL cannot be used: {why}",
        where="environment",
        expected="sqlite:////a/file.db or postgresql+psycopg2://user:password@host/database",
    )


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver begins no transaction for reads, and none with IMMEDIATE; `_begin_sqlite` does.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA journal_mode=WAL")
    # SQLite's own knows only the letters of ASCII.
    connection.create_function("lower", 1, lambda text: text if text is None else text.lower(), deterministic=True)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: of two that begin by reading, one could not go on to write.
    immediate = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
