"""The shared pool: files that are stored once, and that any project can use as an input by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.paths import expanded
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.pool_files import PoolFiles
from winslow_dagster.projects.domain.model import checked_name
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.projects.inputs.uploads import InputStream, put
from winslow_dagster.projects.inputs.validation import check_content, check_suffix, parts_of
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.range_reader import RangeReader
from winslow_dagster.storage.store import BytesMoved, Store

POOL = "pool:"
"""Prefix of the name of a pool file, where a path is expected."""


GivenInput = str | Path | InputStream
Source = Path | PooledFile | InputStream
"""What a project's input is made of."""


class Pool:
    """All methods raise ServiceUnavailable if the database is not available."""

    def __init__(self, database: Database, store: Store) -> None:
        self.rows = PoolFiles(database)
        """What the tables say of the files."""
        self._store = store

    def add(self, path: Path, name: str, by: str, moved: BytesMoved | None = None) -> PooledFile:
        """Copy a file or a directory into the pool. Raises InputRejected, StoreError, ProjectConflict (taken name)."""
        self.rows.require_free(checked_name(name, "pool name"))
        return self._listed(self._stored(path, name, by, moved))

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

        With the same key, which becomes the file's id, it may be called again after a crash. `known`: see
        `Store.commit_tree`. Raises StoreError, ProjectConflict (taken name).
        """
        listed = self.rows.with_id(key)
        if listed is not None:
            return listed
        manifest = self._store.commit_tree(directory, f"{schema.POOL_ADDRESS}/{name}/{key}", known=known)
        return self._listed(PooledFile(name, manifest, original_path or manifest.files[0].path, datetime.now(UTC), by))

    def replace(self, name: str, path: Path, by: str, at: datetime, moved: BytesMoved | None = None) -> str:
        """Copy a file or a directory in the place of another, which goes to the trash. Returns the id of that.

        Raises NotFound, InputRejected, StoreError.
        """
        self.rows.file(name)
        file = self._stored(path, name, by, moved)
        try:
            return self.rows.replace(name, file, by=by, at=at)
        except NotFound:
            self._store.delete_tree(file.manifest.address)
            raise

    def purge(self, file_id: str, at: datetime, *, deleted_before: datetime | None = None) -> int | None:
        """Remove the content of a deleted file that no project has, and return the bytes freed; None if it stays.

        May be called again after a crash. Raises StoreError.
        """
        if not self.rows.begin_purge(file_id, at, deleted_before=deleted_before):
            return None
        file = self.rows.with_id(file_id)
        freed_bytes = 0 if file is None else self._store.delete_tree(file.manifest.address)
        self.rows.forget(file_id)
        return freed_bytes

    def _stored(self, path: Path, name: str, by: str, moved: BytesMoved | None) -> PooledFile:
        if not path.exists():
            raise InputRejected("no such file", where=str(path))
        manifest = put(self._store, path, f"{schema.POOL_ADDRESS}/{name}/{uuid4().hex}", moved)
        return PooledFile(name, manifest, str(path.absolute()), datetime.now(UTC), by)

    def _listed(self, file: PooledFile) -> PooledFile:
        try:
            self.rows.add(file)
        except ProjectConflict:
            self._store.delete_tree(file.manifest.address)
            raise
        return file

    def files(self) -> tuple[PooledFile, ...]:
        """All files by name."""
        return self.rows.files()

    def file(self, name: str) -> PooledFile:
        """One file. Raises NotFound, with the name that was probably meant."""
        return self.rows.file(name)

    def check(self, file: PooledFile, name: str, declared: ProjectInput) -> None:
        """Check that the file can be the input of this name. Raises InputRejected."""
        where = f"input {name}, {POOL}{file.name}"
        entries = {entry.path: entry for entry in file.manifest.files}
        if declared.kind == "directory":
            return
        if len(entries) == 1:
            check_suffix(file.file_name, declared, where)
            parts = list(entries)
        elif declared.parts:
            parts = parts_of(entries, declared, where)
        else:
            raise InputRejected("it is a directory", where=where, expected=f"a {declared.kind}")
        for part in parts:
            entry = entries[part]
            content = RangeReader(partial(_read, self._store, file.manifest, entry), entry.size_bytes)
            named = where if len(entries) == 1 else f"{where}/{part}"
            check_content(cast("BinaryIO", content), entry.size_bytes, declared, named)


def sources(pool: Pool, inputs: Mapping[str, GivenInput]) -> dict[str, Source]:
    """What a person gives as inputs: paths, `pool:NAME`, and streams. Raises NotFound."""
    return {name: _source(pool, source) for name, source in inputs.items()}


def _source(pool: Pool, source: GivenInput) -> Source:
    if isinstance(source, InputStream):
        return source
    if isinstance(source, str) and source.startswith(POOL):
        return pool.file(source.removeprefix(POOL))
    return expanded(source)


def _read(store: Store, manifest: Manifest, entry: FileEntry, begin: int, end: int) -> bytes:
    return store.read_range(manifest, entry, begin, end - begin)
