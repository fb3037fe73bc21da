"""The table of files found in watched folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.ingest import (
    RETRYABLE,
    WAITING_FOR_PERSON,
    IngestFile,
    IngestPage,
    IngestQuery,
    IngestState,
)


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
        waiting = table.c.state.in_(WAITING_FOR_PERSON) & schema.of_live_project(table.c.project)
        query = select(table).where(waiting).order_by(table.c.state_since.desc(), table.c.id).limit(limit)
        with self._database.reading() as connection:
            files = tuple(IngestFile(**row) for row in connection.execute(query).mappings())
            return files, connection.execute(select(func.count()).select_from(table).where(waiting)).scalar_one()

    def find(self, query: IngestQuery) -> IngestPage:
        """One page of the files that match the query, the latest first. Those of deleted projects are left out."""
        table = schema.ingest_files
        conditions = [schema.of_live_project(table.c.project)]
        conditions += [table.c[name] == value for name in ("watch", "state") if (value := getattr(query, name))]
        if query.before is not None:
            conditions.append(table.c.id < query.before)
        # One more than asked for: then there is another page.
        found = select(table).where(*conditions).order_by(table.c.id.desc()).limit(query.limit + 1)
        with self._database.reading() as connection:
            files = tuple(IngestFile(**row) for row in connection.execute(found).mappings())
        shown = files[: query.limit]
        return IngestPage(files=shown, before=shown[-1].id if len(files) > len(shown) else None)

    def counts(self) -> dict[str, dict[IngestState, int]]:
        """Watch -> state -> number of files."""
        table = schema.ingest_files
        query = select(table.c.watch, table.c.state, func.count()).where(schema.of_live_project(table.c.project))
        found: dict[str, dict[IngestState, int]] = {}
        with self._database.reading() as connection:
            for watch, state, number in connection.execute(query.group_by(table.c.watch, table.c.state)):
                found.setdefault(watch, {})[state] = number
        return found

    def problems(self) -> dict[str, tuple[str, datetime]]:
        """Watch -> why the last scan of it did not do everything, and since when."""
        table = schema.ingest_problems
        with self._database.reading() as connection:
            return {row.watch: (row.problem, row.since) for row in connection.execute(select(table))}

    def record_problems(self, problems: Mapping[str, str], at: datetime) -> None:
        """Record the problems of a pass: watch -> problem, or an empty text. Writes only what has changed."""
        table, known = schema.ingest_problems, self.problems()
        solved = [watch for watch in known if not problems.get(watch)]
        new = [
            {"watch": watch, "problem": problem, "since": at}
            for watch, problem in problems.items()
            if problem and known.get(watch, ("",))[0] != problem
        ]
        if not (solved or new):
            return
        with self._database.writing() as connection:
            connection.execute(table.delete().where(table.c.watch.in_([*solved, *(row["watch"] for row in new)])))
            if new:
                connection.execute(table.insert(), new)

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
        """Start over with a rejected, failed or dismissed file. Raises NotFound, ProjectConflict."""
        with self._database.writing() as connection:
            file = _one_in(connection, file_id, RETRYABLE)
            again = replace(file, unchanged_since=at).to("receiving", at)
            _write(connection, [_values(again)])
        return again

    def dismiss(self, file_id: int, at: datetime) -> IngestFile:
        """Take note of a rejected or failed file, which keeps its reason. Raises NotFound, ProjectConflict."""
        with self._database.writing() as connection:
            file = _one_in(connection, file_id, WAITING_FOR_PERSON)
            dismissed = file.to("dismissed", at, file.reason)
            _write(connection, [_values(dismissed)])
        return dismissed


def _one_in(connection: Connection, file_id: int, states: Collection[IngestState]) -> IngestFile:
    file = _one(connection, file_id)
    if file.state not in states:
        raise ProjectConflict(
            f"the file is {file.state}",
            where=f"ingested file {file_id}, {file.path}",
            expected=f"a file that is {' or '.join(sorted(states))}",
        )
    return file


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
