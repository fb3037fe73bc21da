"""The table of files found in watched folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database

IngestState = Literal["receiving", "ready", "importing", "starting", "running", "done", "rejected", "failed"]
"""receiving: may still change. ready: complete, and in line. importing: has a project name, and the project is being
created. starting: a run was requested. running: its run has not ended. done: nothing is left to do. rejected: not a
valid input. failed: something else is wrong, and a person has to fix it."""
STATES: tuple[IngestState, ...] = get_args(IngestState)
IN_PROGRESS: frozenset[IngestState] = frozenset({"importing", "starting", "running"})
"""The states that count towards a watch's `max_concurrent`."""
RETRYABLE: frozenset[IngestState] = frozenset({"rejected", "failed"})


@dataclass(frozen=True, slots=True)
class IngestFile:
    """One file. `path` is relative to the watched source; `modified` is a time or another mark of its content.

    `unchanged_since`: when it was first seen with its size and mark. `state_since` is None while it is received.
    """

    id: int
    watch: str
    path: str
    size_bytes: int
    modified: str
    state: IngestState
    reason: str
    project: str | None
    run_id: str | None
    seen_at: datetime
    unchanged_since: datetime
    state_since: datetime | None

    def to(self, state: IngestState, at: datetime, reason: str = "") -> IngestFile:
        """Copy it with another state."""
        return replace(self, state=state, reason=reason, state_since=None if state == "receiving" else at)

    def received(self, size_bytes: int, modified: str, at: datetime) -> IngestFile:
        """Copy it as a file whose content has just changed."""
        changed = replace(self, size_bytes=size_bytes, modified=modified, unchanged_since=at)
        return changed.to("receiving", at)


class IngestTable:
    """Every method is one transaction. Only one pass over the watched folders runs at a time (scan_pass.py)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_watch(self, watch: str) -> dict[str, IngestFile]:
        """Path -> file, the earliest first."""
        return {file.path: file for file in self.all(watch=watch)}

    def all(
        self, *, watch: str | None = None, states: Iterable[IngestState] = (), limit: int | None = None
    ) -> tuple[IngestFile, ...]:
        """List files, the earliest first: of all watches or one, in any state or one of these."""
        table, wanted = schema.ingest_files, tuple(states)
        query = select(table).order_by(table.c.id).limit(limit)
        if watch is not None:
            query = query.where(table.c.watch == watch)
        if wanted:
            query = query.where(table.c.state.in_(wanted))
        with self._database.reading() as connection:
            return tuple(IngestFile(**row) for row in connection.execute(query).mappings())

    def waiting_for_person(self, limit: int) -> tuple[tuple[IngestFile, ...], int]:
        """The files that somebody has to look at, the latest first, at most `limit`, and the number of all."""
        table = schema.ingest_files
        waiting = table.c.state.in_(RETRYABLE) & schema.of_live_project(table.c.project)
        query = select(table).where(waiting).order_by(table.c.state_since.desc(), table.c.id).limit(limit)
        with self._database.reading() as connection:
            files = tuple(IngestFile(**row) for row in connection.execute(query).mappings())
            return files, connection.execute(select(func.count()).select_from(table).where(waiting)).scalar_one()

    def count(self, watch: str, state: IngestState) -> int:
        """Count the files of a watch in a state."""
        table = schema.ingest_files
        query = select(func.count()).select_from(table).where(table.c.watch == watch, table.c.state == state)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def get(self, file_id: int) -> IngestFile:
        """Read one file. Raises NotFound."""
        with self._database.reading() as connection:
            return _one(connection, file_id)

    def apply(
        self, new: Iterable[IngestFile], changed: Iterable[IngestFile], removed: Iterable[IngestFile] = ()
    ) -> None:
        """Write the result of a scan, all or nothing. The database assigns the ids of new files."""
        table = schema.ingest_files
        inserts = [{key: value for key, value in asdict(file).items() if key != "id"} for file in new]
        updates = [_values(file) for file in changed]
        deletes = [{"file_id": file.id} for file in removed]
        if not (inserts or updates or deletes):
            return
        with self._database.writing() as connection:
            if inserts:
                connection.execute(table.insert(), inserts)
            if updates:
                _write(connection, updates)
            if deletes:
                connection.execute(table.delete().where(table.c.id == bindparam("file_id")), deletes)

    def save(self, file: IngestFile) -> IngestFile:
        """Write one file, and return it."""
        with self._database.writing() as connection:
            _write(connection, [_values(file)])
        return file

    def reserve(self, file: IngestFile, names: Iterable[str], at: datetime) -> IngestFile:
        """Give the file the first name that no project and no other file has; its state is then `importing`.

        Raises ProjectConflict if every name is taken.
        """
        with self._database.writing() as connection:
            for name in names:
                if _free(connection, name, file.id):
                    reserved = replace(file, project=name).to("importing", at)
                    _write(connection, [_values(reserved)])
                    return reserved
        raise ProjectConflict("every possible name for its project is taken", where=file.path)

    def retry(self, file_id: int, at: datetime) -> IngestFile:
        """Start over with a rejected or failed file. Raises NotFound, ProjectConflict."""
        with self._database.writing() as connection:
            file = _one(connection, file_id)
            if file.state not in RETRYABLE:
                raise ProjectConflict(
                    f"the file is {file.state}",
                    where=f"ingested file {file_id}, {file.path}",
                    expected=f"a file that is {' or '.join(sorted(RETRYABLE))}",
                )
            again = replace(file, unchanged_since=at).to("receiving", at)
            _write(connection, [_values(again)])
        return again


def _one(connection: Connection, file_id: int) -> IngestFile:
    query = select(schema.ingest_files).where(schema.ingest_files.c.id == file_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no ingested file has the id {file_id}", remedy=Action("list_ingest_files"))
    return IngestFile(**row)


def _values(file: IngestFile) -> dict[str, object]:
    return {("file_id" if key == "id" else f"new_{key}"): value for key, value in asdict(file).items()}


def _write(connection: Connection, rows: list[dict[str, object]]) -> None:
    table = schema.ingest_files
    values: dict[str, BindParameter[object]] = {
        column.name: bindparam(f"new_{column.name}") for column in table.c if column.name != "id"
    }
    connection.execute(table.update().where(table.c.id == bindparam("file_id")).values(values), rows)


def _free(connection: Connection, name: str, file_id: int) -> bool:
    project, other = schema.projects.c.name, schema.ingest_files.c
    existing = connection.execute(select(project).where(project == name)).first()
    reserved = connection.execute(select(other.id).where(other.project == name, other.id != file_id)).first()
    return existing is None and reserved is None
