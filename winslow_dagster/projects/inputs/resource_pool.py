"""The shared pool: files that are stored once, and that any project can use as an input by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.paths import expanded
from winslow_dagster.pipelines import nearest
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.model import checked_name
from winslow_dagster.projects.inputs.uploads import InputStream, put
from winslow_dagster.projects.inputs.validation import check_content, check_suffix
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.range_reader import RangeReader
from winslow_dagster.storage.store import BytesMoved, Store

POOL = "pool:"
"""Prefix of the name of a pool file, where a path is expected."""


@dataclass(frozen=True, slots=True)
class PooledFile:
    """One file (or directory) of the pool."""

    name: str
    manifest: Manifest
    original_path: str
    added_at: datetime
    added_by: str

    @property
    def file_name(self) -> str:
        """The name the file has in the store."""
        return self.manifest.files[0].path if len(self.manifest.files) == 1 else self.name


GivenInput = str | Path | InputStream
Source = Path | PooledFile | InputStream
"""What a project's input is made of."""


class Pool:
    """All methods raise ServiceUnavailable if the database is not available."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store

    def add(self, path: Path, name: str, by: str, moved: BytesMoved | None = None) -> PooledFile:
        """Copy a file or a directory into the pool. Raises InputRejected, StoreError, ProjectConflict (taken name)."""
        checked_name(name, "pool name")
        if not path.exists():
            raise InputRejected("no such file", where=str(path))
        if any(each.name == name for each in self.files()):
            raise _taken(name)
        manifest = put(self._store, path, f"{schema.POOL_ADDRESS}/{name}/{uuid4().hex}", moved)
        return self._list(PooledFile(name, manifest, str(path.absolute()), datetime.now(UTC), by))

    def take(  # noqa: PLR0913  # what is known of an upload, by name
        self,
        directory: Path,
        *,
        name: str,
        key: str,
        by: str,
        known: Mapping[str, str] | None = None,
        original_path: str = "",
    ) -> PooledFile:
        """Move the content of a directory into the pool, without copying it where the store is on the same disk.

        With the same key it may be called again after a crash. `known`: see `Store.commit_tree`. Raises StoreError,
        ProjectConflict (taken name).
        """
        manifest = self._store.commit_tree(directory, f"{schema.POOL_ADDRESS}/{name}/{key}", known=known)
        listed = next((each for each in self.files() if each.name == name), None)
        if listed is not None and listed.manifest.address == manifest.address:
            return listed
        return self._list(PooledFile(name, manifest, original_path or manifest.files[0].path, datetime.now(UTC), by))

    def _list(self, added: PooledFile) -> PooledFile:
        name, manifest = added.name, added.manifest
        row = {
            "name": name,
            "manifest": manifest.model_dump(mode="json"),
            "original_path": added.original_path,
            "added_at": added.added_at,
            "added_by": added.added_by,
        }
        try:
            with self._database.writing() as connection:
                connection.execute(schema.pool.insert().values(row))
        except IntegrityError as error:
            self._store.delete_tree(manifest.address)
            raise _taken(name) from error
        return added

    def files(self) -> tuple[PooledFile, ...]:
        """All files by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.pool).order_by(schema.pool.c.name)).mappings().all()
        return tuple(PooledFile(**{**row, "manifest": Manifest.model_validate(row["manifest"])}) for row in rows)

    def users(self) -> dict[str, tuple[str, ...]]:
        """File -> the projects that use it as an input."""
        by_address = {each.manifest.address: each.name for each in self.files()}
        found: dict[str, set[str]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(select(schema.inputs.c.project, schema.inputs.c.manifest)):
                name = by_address.get(row.manifest["address"])
                if name is not None:
                    found.setdefault(name, set()).add(row.project)
        return {name: tuple(sorted(projects)) for name, projects in found.items()}

    def file(self, name: str) -> PooledFile:
        """One file. Raises NotFound, with the name that was probably meant."""
        with self._database.reading() as connection:
            # Only this one: another may be a directory with 100,000 files.
            row = connection.execute(select(schema.pool).where(schema.pool.c.name == name)).mappings().one_or_none()
            names = connection.execute(select(schema.pool.c.name)).scalars().all() if row is None else ()
        if row is None:
            meant = nearest(name, names)
            raise NotFound(
                f"there is no {name!r} in the pool",
                remedy=f"Did you mean {meant}?" if meant else Action("list_pool_files"),
            )
        return PooledFile(**{**row, "manifest": Manifest.model_validate(row["manifest"])})

    def remove(self, name: str) -> int:
        """Delete a file that no project uses; returns the bytes freed. Raises NotFound, ProjectConflict, StoreError."""
        file = self.file(name)
        with self._database.writing() as connection:
            # A project that takes the file holds its row, and comes before or after this (see `add_input`).
            connection.execute(select(schema.pool.c.name).where(schema.pool.c.name == name).with_for_update())
            users = _users(connection, file.manifest)
            if users:
                raise ProjectConflict(f"it is an input of {', '.join(users)}", where=name)
            connection.execute(schema.pool.delete().where(schema.pool.c.name == name))
        return self._store.delete_tree(file.manifest.address)

    def check(self, file: PooledFile, name: str, declared: ProjectInput) -> None:
        """Check that the file can be the input of this name. Raises InputRejected."""
        where = f"input {name}, {POOL}{file.name}"
        entries = file.manifest.files
        if declared.kind == "directory":
            return
        if len(entries) != 1:
            raise InputRejected("it is a directory", where=where, expected=f"a {declared.kind}")
        check_suffix(file.file_name, declared, where)
        read = partial(_read, self._store, file.manifest)
        check_content(
            cast("BinaryIO", RangeReader(read, entries[0].size_bytes)), entries[0].size_bytes, declared, where
        )


def _users(connection: Connection, manifest: Manifest) -> list[str]:
    table = schema.inputs
    rows = connection.execute(select(table.c.project, table.c.manifest)).all()
    return sorted({row.project for row in rows if row.manifest["address"] == manifest.address})


def sources(pool: Pool, inputs: Mapping[str, GivenInput]) -> dict[str, Source]:
    """What a person gives as inputs: paths, `pool:NAME`, and streams. Raises NotFound."""
    return {name: _source(pool, source) for name, source in inputs.items()}


def _source(pool: Pool, source: GivenInput) -> Source:
    if isinstance(source, InputStream):
        return source
    if isinstance(source, str) and source.startswith(POOL):
        return pool.file(source.removeprefix(POOL))
    return expanded(source)


def _read(store: Store, manifest: Manifest, begin: int, end: int) -> bytes:
    return store.read_range(manifest, manifest.files[0], begin, end - begin)


def _taken(name: str) -> ProjectConflict:
    return ProjectConflict(f"the pool has a file {name!r} already", remedy=Action("choose_pool_name"))
