"""Named locks between threads, processes and machines. The kernel or the database server frees those of a dead process.

A lock is no transaction: work under it may take minutes, and nobody else's writes wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import URL, Connection, create_engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.locks import lock_now
from winslow_dagster.projects.database.schema import locks as lock_table

POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a lock, what for, and since when."""

    holder: str = ""
    purpose: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        purpose = f"{self.purpose}, " if self.purpose else ""
        return f"{self.holder or 'another process'} ({purpose}since {format_time(self.since)})"


_HOLDER = TypeAdapter(LockHolder)


class NamedLocks(Protocol):
    """Locks of one database."""

    def hold(self, name: str, by: LockHolder, timeout_s: float, where: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lock inside the block. Raises ProjectConflict with its holder where it is not free in time."""

    def close(self) -> None:
        """Free what is open."""


class FileLocks:
    """Lock files in one directory, which name their holder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def hold(self, name: str, by: LockHolder, timeout_s: float, where: str) -> Iterator[None]:
        """See `NamedLocks`."""
        self._directory.mkdir(exist_ok=True)
        with (self._directory / name).open("a+b", buffering=0) as file:
            if not _wait_for(lambda: lock_now(file.fileno(), fcntl.LOCK_EX), timeout_s):
                file.seek(0)
                raise _held(_read_holder(file.read()), where)
            file.truncate(0)
            file.write(_HOLDER.dump_json(_from_now(by)))
            try:
                yield
            finally:
                file.truncate(0)

    def close(self) -> None:
        """See `NamedLocks`; each file is closed with its lock."""


class AdvisoryLocks:
    """Advisory locks of a PostgreSQL server, all on one connection, which is open while one is held or waited for."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._guard = threading.Lock()
        self._connection: Connection | None = None
        self._users = 0
        # The server would give the same connection the same lock twice.
        self._held: set[str] = set()

    @contextlib.contextmanager
    def hold(self, name: str, by: LockHolder, timeout_s: float, where: str) -> Iterator[None]:
        """See `NamedLocks`. Raises DBAPIError where the server fails."""
        with self._guard:
            self._users += 1
        try:
            if not _wait_for(lambda: self._take(name, by), timeout_s):
                raise _held(self._holder(name), where)
            try:
                yield
            finally:
                self._release(name)
        finally:
            with self._guard:
                self._users -= 1
                if not self._users:
                    self._disconnect()

    def close(self) -> None:
        """See `NamedLocks`."""
        with self._guard:
            self._disconnect()

    def _take(self, name: str, by: LockHolder) -> bool:
        with self._guard:
            if name in self._held:
                return False
            with self._connected() as connection:
                if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), _key(name)).scalar_one():
                    return False
                row = {"name": name, **asdict(_from_now(by))}
                connection.execute(
                    insert(lock_table).values(row).on_conflict_do_update(index_elements=["name"], set_=row)
                )
                self._held.add(name)
        return True

    def _holder(self, name: str) -> LockHolder | None:
        query = select(*(lock_table.c[each] for each in LockHolder.__dataclass_fields__))
        with self._guard, self._connected() as connection:
            row = connection.execute(query.where(lock_table.c.name == name)).mappings().one_or_none()
        return None if row is None else LockHolder(**row)

    def _release(self, name: str) -> None:
        with self._guard:
            self._held.discard(name)
            # A connection that broke has lost its locks already.
            with contextlib.suppress(DBAPIError), self._connected() as connection:
                connection.execute(lock_table.delete().where(lock_table.c.name == name))
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), _key(name))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            yield self._connection
        except DBAPIError:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _wait_for(taken: Callable[[], bool], timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not taken():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(POLL_S, left_s))
    return True


def _from_now(by: LockHolder) -> LockHolder:
    return replace(by, since=datetime.now(UTC))


def _key(name: str) -> dict[str, int]:
    return {"key": int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)}


def _read_holder(content: bytes) -> LockHolder | None:
    """None where the holder has not written its name yet."""
    try:
        return _HOLDER.validate_json(content)
    except ValidationError:
        return None


def _held(by: LockHolder | None, where: str) -> ProjectConflict:
    return ProjectConflict(f"in use by {by or 'another process'}", where=where)
