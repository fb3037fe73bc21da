"""Dagster's SQLite storage with connections that stay open.

Dagster's own classes open and close a file for every event, and the last connection that closes a WAL database copies
the log into the database and syncs both. With the connections kept open, storing an event is one synced append. When
data are synced is unchanged.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from sqlalchemy import create_engine, inspect, text
from typing_extensions import override

if TYPE_CHECKING:
    from dagster import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine

Storage = TypeVar("Storage", SqliteRunStorage, SqliteScheduleStorage)

# Each run has a file of its own. A process works on few of them at a time.
MAX_OPEN_FILES = 24
POOL_SIZE = 4
MAX_CONNECTIONS = 64


class OpenFiles:
    """One SQLAlchemy engine per database file, shared by all Dagster instances of this process.

    Instances come and go: a sensor opens one for each evaluation. The least recently used files are closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: OrderedDict[str, Engine] = OrderedDict()

    def engine(self, url: str) -> Engine:
        """The engine of a file, opened if needed."""
        with self._lock:
            if url not in self._engines:
                self._engines[url] = create_engine(
                    url,
                    pool_size=POOL_SIZE,
                    max_overflow=MAX_CONNECTIONS - POOL_SIZE,
                    connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
                )
            self._engines.move_to_end(url)
            while len(self._engines) > MAX_OPEN_FILES:
                self._engines.popitem(last=False)[1].dispose()
            return self._engines[url]

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        with self._lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


OPEN_FILES = OpenFiles()
# SQLite keeps what it knows of locks in the memory of the process, where a child would find it: with a connection open
# at the fork, the child's own connections to the same file fail ("locking protocol").
os.register_at_fork(before=OPEN_FILES.close)


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    with OPEN_FILES.engine(url).connect() as connection, connection.begin():
        yield connection


class PooledRunStorage(SqliteRunStorage):
    """Runs and their tags."""

    @contextmanager
    @override
    def connect(self) -> Iterator[Connection]:
        with _transaction(self._conn_string) as connection:
            yield connection


class PooledScheduleStorage(SqliteScheduleStorage):
    """States and ticks of sensors."""

    @contextmanager
    @override
    def connect(self) -> Iterator[Connection]:
        with _transaction(self._conn_string) as connection:
            yield connection


class PooledEventLogStorage(SqliteEventLogStorage):
    """Events: a file for each run, and an index over all runs."""

    @contextmanager
    @override
    def _connect(self, shard: str) -> Iterator[Connection]:
        url = self.conn_string_for_shard(shard)
        with self._db_lock:
            if shard not in self._initialized_dbs:
                self._initdb(OPEN_FILES.engine(url))
                self._initialized_dbs.add(shard)
            with _transaction(url) as connection:
                yield connection

    @override
    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        """Create the tables if needed. A file with a version is complete; comparing it loads all migrations."""
        if not _has_version(engine):
            super()._initdb(engine, for_index_shard)

    @override
    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, then touch the run's file: Dagster's watchers wait for a change of it.

        The write-ahead log cannot be watched instead: it changes a moment before its new content becomes visible.
        """
        super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    @override
    def wipe(self) -> None:
        OPEN_FILES.close()
        super().wipe()


class PooledSqliteStorage(DagsterSqliteStorage):
    """All three; what `dagster.yaml` names. `base_dir` is Dagster's home."""

    @override
    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = _opened(PooledRunStorage, _runs_directory(base_dir), "runs")
        self._schedule_storage = _opened(PooledScheduleStorage, _schedule_directory(base_dir), "schedules")
        self._event_log_storage = PooledEventLogStorage(_event_logs_directory(base_dir))
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    @override
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)


def _opened(kind: type[Storage], directory: str, name: str) -> Storage:
    """A storage, whose tables Dagster creates, or compares with all its migrations, if they are not known to exist."""
    url = create_db_conn_string(directory, name)
    Path(directory).mkdir(parents=True, exist_ok=True)
    if _has_version(OPEN_FILES.engine(url)):
        return kind(url)
    return kind.from_local(directory)


def _has_version(engine: Engine) -> bool:
    """Whether Dagster has completed the tables of a file: it notes their version last."""
    with engine.connect() as connection:
        return bool(
            inspect(connection).has_table("alembic_version")
            and connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        )
