"""The shared pool: files that are stored once, and that any project takes by name. Every change is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.footage import FootageReader, Source
from winslow_dagster.paths import expanded
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.downloads import open_pool_archive, write_archive
from winslow_dagster.projects.commands.file_footage import FileFootage
from winslow_dagster.projects.commands.files import files_of, open_file, read_file, source_of
from winslow_dagster.projects.database.stored_files import StoredFileLists
from winslow_dagster.projects.domain.model import checked_name
from winslow_dagster.projects.domain.pool import (
    PoolAct,
    PoolDetails,
    PooledFile,
    PoolEffect,
    PoolEntry,
    PoolPage,
    PoolPurge,
    PoolQuery,
    PoolSort,
    TrashedFile,
    effect_of,
)
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.inputs.input_storage import UploadStarted
from winslow_dagster.projects.inputs.permitted_paths import require_permitted
from winslow_dagster.projects.inputs.pool_directory import PoolDirectory, PoolFolder
from winslow_dagster.projects.inputs.resource_pool import POOL, Pool
from winslow_dagster.projects.inputs.uploads import received, size_of
from winslow_dagster.storage.archives import Archive, ArchiveFormat
from winslow_dagster.storage.manifest import Manifest

SORTS: dict[PoolSort, Callable[[PoolEntry], Any]] = {
    "name": lambda entry: entry.name.casefold(),
    "size": lambda entry: entry.size_bytes,
    "added": lambda entry: entry.added_at,
    "by": lambda entry: entry.added_by.casefold(),
    "uses": lambda entry: len(entry.used_by),
}


class PoolCommands(FileFootage[ProjectFile]):
    """The pool of one installation. Operators change it; only administrators remove deleted files for good."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scratch = context.settings.home / "incoming"

    @property
    def files(self) -> Pool:
        """The files as values."""
        return Pool(self._context.records.database, self._context.store)

    def list(self) -> tuple[PooledFile, ...]:
        """All files by name."""
        return self.files.files()

    def names(self) -> tuple[str, ...]:
        """The names of all files."""
        return tuple(sorted(self.files.rows.names()))

    def find(self, query: PoolQuery | None = None) -> PoolPage:
        """One page of the files that match the query, and who uses them."""
        query = query or PoolQuery()
        text = query.text.casefold().strip()
        matching = [
            entry
            for entry in self.files.rows.entries()
            if any(text in each.casefold() for each in (entry.name, entry.file_name, entry.added_by))
        ]
        matching.sort(key=SORTS[query.sort], reverse=query.descending)
        return PoolPage(
            files=tuple(matching[query.offset : query.offset + query.limit]),
            total=len(matching),
            size_bytes=sum(entry.size_bytes for entry in matching),
        )

    def details(self, name: str) -> PoolDetails:
        """A file with the projects and attempts that have it. Raises NotFound."""
        file = self.files.rows.entry(name)
        return PoolDetails(file=file, uses=self.files.rows.uses(file.id), earlier=self._earlier(file.id))

    def effect(self, act: PoolAct, name: str) -> PoolEffect:
        """What it would mean to remove, rename or replace a file. Raises NotFound."""
        return effect_of(act, self.files.rows.entry(name), self._context.settings.trash_days)

    def add(self, path: str | Path, name: str | None = None, upload: UploadStarted | None = None) -> PooledFile:
        """Copy a file or a directory into the pool, under its own name or another.

        Raises InputRejected, StoreError, ProjectConflict if the name is taken.
        """
        return self._add(self._permitted(path), name, upload)

    def _add(self, path: Path, name: str | None, upload: UploadStarted | None = None) -> PooledFile:
        self._context.actor.require("operator")
        if path.exists():
            self._context.quotas.require_room(None, self._context.actor.who, size_of(path))
        moved = upload(path.name, size_of(path)) if upload and path.exists() else None
        added = self.files.add(path, name or path.name, self._context.actor.who, moved)
        self._context.audit("pool_add", name=added.name, path=str(path))
        return added

    def add_stream(self, name: str, stream: BinaryIO) -> PooledFile:
        """Copy what the stream holds into the pool, as a file of this name. Raises what `add` raises."""
        with received(stream, name, self._scratch) as path:
            return self._add(path, name)

    def archive(self, name: str, form: ArchiveFormat = "tar") -> Archive:
        """A directory or a file of the pool as one archive, which is never stored. Raises NotFound."""
        return open_pool_archive(self._context, name, form)

    def download(
        self, name: str, target: str | Path, form: ArchiveFormat = "tar", started: UploadStarted | None = None
    ) -> Path:
        """Write the archive of a directory or a file to the new file `target`, and return that.

        Raises NotFound, ProjectConflict if there is such a file, StoreError.
        """
        return write_archive(self.archive(name, form), target, started)

    def stored_file(self, name: str, path: str = "") -> ProjectFile:
        """One file of a directory of the pool, as a file of the stage `pool:NAME`; without a path, the only one.

        Raises NotFound.
        """
        directory = self._directory(self.files.rows.entry(name))
        entry = directory.entry(path or directory.paths[0]) if path or directory.file_count == 1 else None
        if entry is None:
            what = f"there is no {path!r} in it" if path else f"it is a directory with {directory.file_count} files"
            raise NotFound(what, where=f"{POOL}{name}", expected="the path of a file in it")
        stage, chosen = f"{POOL}{name}", Manifest(address=directory.address, files=(entry,))
        (file,) = files_of(self._context.store, "", {stage: chosen}, [stage])
        return file

    def folder(self, name: str, path: str = "") -> PoolFolder:
        """What is directly in a folder of a directory of the pool. Raises NotFound."""
        return self._directory(self.files.rows.entry(name)).folder(path)

    def open_file(self, file: ProjectFile) -> BufferedReader:
        """A file for reading from any position; only the ranges that are read are fetched. Raises StoreError."""
        return open_file(self._context.store, file)

    def read_file(self, file: ProjectFile, begin: int, end: int) -> bytes:
        """The bytes of a file from `begin` to before `end`, fewer if it is shorter than it was. Raises StoreError."""
        return read_file(self._context.store, file, begin, end)

    def rename(self, name: str, new_name: str) -> PoolEntry:
        """Give a file another name. Projects that have it keep it. Raises NotFound, InputRejected, ProjectConflict."""
        self._context.actor.require("operator")
        self.files.rows.rename(name, checked_name(new_name, "pool name"))
        self._context.audit("pool_rename", name=name, new_name=new_name)
        return self.files.rows.entry(new_name)

    def replace(self, name: str, source: str | Path, upload: UploadStarted | None = None) -> TrashedFile:
        """Have a path, or `pool:OTHER`, take the place of a file. Returns the earlier one, which can be restored.

        Projects keep the earlier one until they are given the new one. Raises NotFound, InputRejected, StoreError.
        """
        context = self._context
        context.actor.require("operator")
        by, at = context.actor.who, context.clock()
        if isinstance(source, str) and source.startswith(POOL):
            earlier = self.files.rows.replace_by(name, source.removeprefix(POOL), by=by, at=at)
        else:
            path = self._permitted(source)
            moved = upload(path.name, size_of(path)) if upload and path.exists() else None
            earlier = self.files.replace(name, path, by, at, moved)
        context.audit("pool_replace", name=name, by=str(source))
        return self._trashed(earlier)

    def remove(self, name: str) -> TrashedFile:
        """Delete a file. It can be restored for a while, and projects that have it keep it. Raises NotFound."""
        self._context.actor.require("operator")
        file_id = self.files.rows.remove(name, by=self._context.actor.who, at=self._context.clock())
        self._context.audit("pool_remove", name=name)
        return self._trashed(file_id)

    def trash(self) -> tuple[TrashedFile, ...]:
        """The deleted files, the last one first, and when the content of each is removed."""
        return self._with_expiry(self.files.rows.deleted())

    def restore(self, which: str, name: str | None = None) -> PoolEntry:
        """Restore a deleted file: the one with this id, or the last one of this name. With `name`, under another name.

        If another file took its place, they change places. Raises NotFound, ProjectConflict if its name is taken.
        """
        context = self._context
        context.actor.require("operator")
        found = self._in_trash(which)
        new_name = None if name is None else checked_name(name, "pool name")
        listed = self.files.rows.restore(found.id, new_name, by=context.actor.who, at=context.clock())
        context.audit("pool_restore", name=listed)
        return self.files.rows.entry(listed)

    def purge(self, which: str) -> PoolPurge:
        """Remove the content of a deleted file, by its id or name, for good. Only administrators may.

        Raises NotFound, ProjectConflict while a project has it, StoreError.
        """
        self._context.actor.require("admin", which)
        found = self._in_trash(which)
        freed_bytes = self.files.purge(found.id, self._context.clock())
        if freed_bytes is None:
            raise ProjectConflict(
                f"it is an input of {', '.join(found.used_by)}" if found.used_by else "somebody has just restored it",
                where=found.name,
                remedy="It goes once no project has it any more",
            )
        self._context.audit("pool_purge", name=found.name, freed_bytes=freed_bytes)
        return PoolPurge(id=found.id, name=found.name, freed_bytes=freed_bytes)

    @property
    def _footage(self) -> FootageReader:
        return self._context.resources.footage

    def _source(self, file: ProjectFile) -> Source:
        return source_of(self._context.store, file)

    def _directory(self, entry: PoolEntry) -> PoolDirectory:
        """What is in a file or directory. Raises NotFound."""

        def read() -> PoolDirectory:
            found = StoredFileLists(self._context.records.database).of_pool(entry.id)
            if found is None:
                raise NotFound("it was removed meanwhile", where=f"{POOL}{entry.name}")
            return PoolDirectory.parse(found.manifest)

        # Each frame of a film is a request.
        return self._context.resources.pool_directories.get(entry.id, read)

    def _permitted(self, path: str | Path) -> Path:
        found = expanded(path)
        require_permitted(self._context.actor, self._context.settings, {"path": found})
        return found

    def _with_expiry(self, rows: Iterable[dict[str, Any]]) -> tuple[TrashedFile, ...]:
        kept = timedelta(days=self._context.settings.trash_days)
        return tuple(TrashedFile(**fields, purge_at=fields["deleted_at"] + kept) for fields in rows)

    def _trashed(self, file_id: str) -> TrashedFile:
        found = self._with_expiry(self.files.rows.deleted(file_id))
        if not found:
            raise NotFound("somebody has just restored it", where="the trash")
        return found[0]

    def _in_trash(self, which: str) -> TrashedFile:
        found = self._with_expiry(self.files.rows.deleted(which))
        if not found:
            raise NotFound(f"there is no deleted file {which!r}", where="the trash")
        return found[0]

    def _earlier(self, file_id: str) -> tuple[TrashedFile, ...]:
        """The files that it replaced, directly or not, the last one first."""
        found: dict[str, TrashedFile] = {}
        waiting = [file_id]
        while waiting:
            for each in self._with_expiry(self.files.rows.replaced_by(waiting.pop())):
                if each.id not in found:
                    found[each.id] = each
                    waiting.append(each.id)
        return tuple(sorted(found.values(), key=lambda each: each.deleted_at, reverse=True))
