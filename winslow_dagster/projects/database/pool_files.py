"""The files of the pool, and those that were deleted from it: what the tables say. Their content is in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select
from sqlalchemy.exc import IntegrityError

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.pipelines import nearest
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.pool import PooledFile, PoolEntry, PoolReader, PoolUse
from winslow_dagster.storage.manifest import Manifest

TABLE = schema.pool
LISTED = TABLE.c.deleted_at.is_(None)
ENTRY = [TABLE.c[name] for name in PoolEntry.model_fields if name in TABLE.c]
FILE = [TABLE.c[name] for name in ("name", "original_path", "added_at", "added_by", "manifest")]
DELETION = [TABLE.c[name] for name in ("deleted_at", "deleted_by", "replaced_by", "purged_at")]
ADDRESS: ColumnElement[str] = TABLE.c.manifest["address"].as_string()
POOL_ID = schema.inputs.c.pool_id


class PoolFiles:
    """Every method is one transaction. All raise ServiceUnavailable.

    A project that takes a file holds its row (`add_input`), as everything here does that makes a file unusable: so one
    of them comes first, and the other sees what it did.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def require_free(self, name: str) -> None:
        """Raise ProjectConflict if a file has the name, or one that somebody is sending will have it."""
        with self._database.reading() as connection:
            _require_free(connection, name, but="")

    def add(self, file: PooledFile) -> None:
        """List a file whose content is in the store. Raises ProjectConflict for a name that is taken."""
        with self._naming(file.name) as connection:
            _require_free(connection, file.name, but=file.id)
            connection.execute(TABLE.insert().values(_row(file)))

    def file(self, name: str) -> PooledFile:
        """One file, with everything that is in it. Raises NotFound, with the name that was probably meant."""
        with self._database.reading() as connection:
            row = connection.execute(select(*FILE).where(TABLE.c.name == name, LISTED)).one_or_none()
            if row is None:
                raise _unknown(connection, name)
        return _file(row)

    def entry(self, name: str) -> PoolEntry:
        """One file, without what is in it. Raises NotFound, with the name that was probably meant."""
        with self._database.reading() as connection:
            found = _entries(connection, TABLE.c.name == name)
            if not found:
                raise _unknown(connection, name)
        return found[0]

    def with_id(self, file_id: str) -> PooledFile | None:
        """The file with this id, also a deleted one."""
        with self._database.reading() as connection:
            row = connection.execute(select(*FILE).where(TABLE.c.id == file_id)).one_or_none()
        return None if row is None else _file(row)

    def files(self) -> tuple[PooledFile, ...]:
        """All files by name, with everything that is in them."""
        with self._database.reading() as connection:
            return tuple(map(_file, connection.execute(select(*FILE).where(LISTED).order_by(TABLE.c.name))))

    def names(self) -> frozenset[str]:
        """The names that are taken."""
        with self._database.reading() as connection:
            return frozenset(connection.execute(select(TABLE.c.name).where(LISTED)).scalars())

    def entries(self, ids: Collection[str] | None = None) -> tuple[PoolEntry, ...]:
        """The files by name, all or those with these ids, without what is in them."""
        with self._database.reading() as connection:
            return _entries(connection, *([] if ids is None else [TABLE.c.id.in_(ids)]))

    def deleted(self, which: str | None = None) -> tuple[dict[str, Any], ...]:
        """The deleted files, the last one first: all, or those with this id or name.

        They have the fields of `TrashedFile` but one.
        """
        with self._database.reading() as connection:
            return _deleted(connection, *([] if which is None else [or_(TABLE.c.id == which, TABLE.c.name == which)]))

    def replaced_by(self, file_id: str) -> tuple[dict[str, Any], ...]:
        """The deleted files whose place this one took. Fields as of `deleted`."""
        with self._database.reading() as connection:
            return _deleted(connection, TABLE.c.replaced_by == file_id)

    def uses(self, file_id: str) -> tuple[PoolUse, ...]:
        """The projects that have the file as an input, or had it, and their attempts that read it."""
        inputs, attempts = schema.inputs, schema.attempts
        with self._database.reading() as connection:
            address = connection.execute(select(ADDRESS).where(TABLE.c.id == file_id)).scalar_one_or_none()
            taken = select(inputs.c.project, inputs.c.name, inputs.c.version).where(POOL_ID.in_([file_id]))
            rows = connection.execute(taken.order_by(inputs.c.project, inputs.c.name, inputs.c.version)).all()
            newest = select(inputs.c.project, inputs.c.name, func.max(inputs.c.version)).where(
                inputs.c.project.in_([row.project for row in rows])
            )
            current = {(project, name): last for project, name, last in connection.execute(_by_input(newest))}
            found: dict[tuple[str, str], PoolUse] = {}
            for row in rows:
                read = attempts.c.task["resources"][row.name]["address"].as_string() == address
                numbered = _numbered(row.project)
                query = (
                    select(numbered.c.stage, numbered.c.number, attempts.c.task_id)
                    .join(numbered, numbered.c.task_id == attempts.c.task_id)
                    .where(attempts.c.project == row.project, read)
                    .order_by(attempts.c.started_at, attempts.c.task_id)
                )
                found[row.project, row.name] = PoolUse(
                    project=row.project,
                    input=row.name,
                    current=current[row.project, row.name] == row.version,
                    readers=tuple(PoolReader(**each) for each in connection.execute(query).mappings()),
                )
        return tuple(found.values())

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name. Raises NotFound, ProjectConflict for a name that is taken."""
        with self._naming(new_name) as connection:
            held = _hold(connection, name)
            _require_free(connection, new_name, but=held.id)
            connection.execute(TABLE.update().where(TABLE.c.id == held.id).values(name=new_name))

    def remove(self, name: str, *, by: str, at: datetime) -> str:
        """Delete a file: no project can take it from here on. Returns its id. Raises NotFound."""
        with self._database.writing() as connection:
            held = _hold(connection, name)
            _delete(connection, held.id, by, at)
        return str(held.id)

    def replace(self, name: str, new: PooledFile, *, by: str, at: datetime) -> str:
        """Have a new file take the place of another, which is deleted. Returns the id of that. Raises NotFound."""
        with self._database.writing() as connection:
            held = _hold(connection, name)
            _delete(connection, held.id, by, at, replaced_by=new.id)
            connection.execute(TABLE.insert().values(_row(new)))
        return str(held.id)

    def replace_by(self, name: str, other: str, *, by: str, at: datetime) -> str:
        """Have another file of the pool take its place and name. Returns the id of the old one. Raises NotFound."""
        with self._database.writing() as connection:
            held, taking = _hold(connection, name), _hold(connection, other)
            if held.id == taking.id:
                raise ProjectConflict("a file cannot replace itself", where=name)
            _delete(connection, held.id, by, at, replaced_by=taking.id)
            connection.execute(TABLE.update().where(TABLE.c.id == taking.id).values(name=name))
        return str(held.id)

    def restore(self, file_id: str, name: str | None, *, by: str, at: datetime) -> str:
        """List a deleted file again, under its name or another one, and return that.

        The file that took its place is deleted instead. One that is not deleted stays as it is. Raises NotFound, and
        ProjectConflict if it is being removed, or another file has its name.
        """
        # The name may come from the row, and a file may take it in between: the index decides.
        with self._naming(name or file_id) as connection:
            row = connection.execute(select(TABLE).where(TABLE.c.id == file_id).with_for_update()).one_or_none()
            if row is None:
                raise _gone(file_id)
            if row.purged_at is not None:
                raise ProjectConflict("its content is being removed", where=row.name)
            new_name = name or str(row.name)
            if row.deleted_at is None:
                return str(row.name)
            holder = connection.execute(select(TABLE.c.id).where(TABLE.c.name == new_name, LISTED)).scalar()
            if holder is not None and holder == row.replaced_by and name is None:
                _delete(connection, holder, by, at, replaced_by=file_id)
            else:
                _require_free(connection, new_name, but=file_id)
            restored = {"name": new_name, "deleted_at": None, "deleted_by": None, "replaced_by": None}
            connection.execute(TABLE.update().where(TABLE.c.id == file_id).values(restored))
        return new_name

    def begin_purge(self, file_id: str, at: datetime, *, deleted_before: datetime | None = None) -> bool:
        """Note that a deleted file is removed for good. False if it is not to be: it was restored, or is in use."""
        with self._database.writing() as connection:
            row = connection.execute(select(TABLE).where(TABLE.c.id == file_id).with_for_update()).one_or_none()
            if row is None or row.deleted_at is None:
                return False
            if row.purged_at is None:
                if deleted_before is not None and row.deleted_at >= deleted_before:
                    return False
                if _users(connection, [file_id]):
                    return False
                connection.execute(TABLE.update().where(TABLE.c.id == file_id).values(purged_at=at))
        return True

    def forget(self, file_id: str) -> None:
        """Delete the row of a file whose content is gone."""
        with self._database.writing() as connection:
            connection.execute(TABLE.delete().where(TABLE.c.id == file_id, TABLE.c.purged_at.is_not(None)))

    @contextmanager
    def _naming(self, name: str) -> Iterator[Connection]:
        try:
            with self._database.writing() as connection:
                yield connection
        except IntegrityError as error:
            raise _taken(name) from error


def _row(file: PooledFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "name": file.name,
        "manifest": file.manifest.model_dump(mode="json"),
        "file_name": file.file_name,
        "size_bytes": file.manifest.size_bytes,
        "files": len(file.manifest.files),
        "original_path": file.original_path,
        "added_at": file.added_at,
        "added_by": file.added_by,
    }


def _file(row: Row[Any]) -> PooledFile:
    values = {column.name: getattr(row, column.name) for column in FILE}
    return PooledFile(**{**values, "manifest": Manifest.model_validate(row.manifest)})


def _hold(connection: Connection, name: str) -> Row[Any]:
    """The row of a file, held until the transaction ends. Raises NotFound."""
    row = connection.execute(select(TABLE).where(TABLE.c.name == name, LISTED).with_for_update()).one_or_none()
    if row is None:
        raise _unknown(connection, name)
    return row


def _delete(connection: Connection, file_id: str, by: str, at: datetime, replaced_by: str | None = None) -> None:
    deleted = {"deleted_at": at, "deleted_by": by, "replaced_by": replaced_by}
    connection.execute(TABLE.update().where(TABLE.c.id == file_id).values(deleted))


def _require_free(connection: Connection, name: str, *, but: str) -> None:
    """Raise ProjectConflict if a file has the name, or one that somebody is sending will have it."""
    if connection.execute(select(TABLE.c.id).where(TABLE.c.name == name, LISTED, TABLE.c.id != but)).first():
        raise _taken(name)
    sent = schema.uploads
    coming = select(sent.c.owner).where(sent.c.name == name, sent.c.ended_at.is_(None), sent.c.id != but)
    owner = connection.execute(coming).scalar()
    if owner is not None:
        raise ProjectConflict(
            f"{owner} is sending a file {name!r} to the pool", remedy="Choose another name, or cancel that upload"
        )


def _entries(connection: Connection, *which: ColumnElement[bool]) -> tuple[PoolEntry, ...]:
    rows = connection.execute(select(*ENTRY).where(LISTED, *which).order_by(TABLE.c.name)).mappings().all()
    users = _users(connection, [row["id"] for row in rows] if which else None)
    return tuple(PoolEntry(**row, used_by=users.get(row["id"], ())) for row in rows)


def _deleted(connection: Connection, *which: ColumnElement[bool]) -> tuple[dict[str, Any], ...]:
    query = select(*ENTRY, *DELETION).where(~LISTED, *which).order_by(TABLE.c.deleted_at.desc(), TABLE.c.name)
    rows = connection.execute(query).mappings().all()
    users = _users(connection, [row["id"] for row in rows] if which else None)
    return tuple({**row, "used_by": users.get(row["id"], ())} for row in rows)


def _users(connection: Connection, ids: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """File id -> the projects that have it as an input, or had it: of all files, or of these."""
    query = select(POOL_ID, schema.inputs.c.project).distinct().order_by(POOL_ID, schema.inputs.c.project)
    query = query.where(POOL_ID.is_not(None) if ids is None else POOL_ID.in_(ids))
    found: dict[str, list[str]] = {}
    for file_id, project in connection.execute(query):
        found.setdefault(file_id, []).append(project)
    return {file_id: tuple(projects) for file_id, projects in found.items()}


def _by_input(query: Select[Any]) -> Select[Any]:
    return query.group_by(schema.inputs.c.project, schema.inputs.c.name)


def _numbered(project: str) -> Any:
    """The attempts of a project with their numbers, counted for each stage from 1."""
    table = schema.attempts
    order = (table.c.started_at, table.c.task_id)
    number = func.row_number().over(partition_by=table.c.stage, order_by=order).label("number")
    return select(table.c.task_id, table.c.stage, number).where(table.c.project == project).subquery()


def _unknown(connection: Connection, name: str) -> NotFound:
    meant = nearest(name, connection.execute(select(TABLE.c.name).where(LISTED)).scalars().all())
    return NotFound(
        f"there is no {name!r} in the pool",
        remedy=f"Did you mean {meant}?" if meant else Action("list_pool_files"),
    )


def _gone(file_id: str) -> NotFound:
    return NotFound(f"there is no deleted file {file_id!r}", remedy=Action("list_pool_trash"))


def _taken(name: str) -> ProjectConflict:
    return ProjectConflict(f"the pool has a file {name!r} already", remedy=Action("choose_pool_name"))
