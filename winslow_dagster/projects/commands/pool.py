"""The shared pool: files that are stored once, and that any project takes by name. Every change is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from winslow_dagster.errors import NotFound
from winslow_dagster.paths import expanded
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.downloads import open_pool_archive
from winslow_dagster.projects.commands.files import files_of, read_file
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.inputs.input_storage import UploadStarted
from winslow_dagster.projects.inputs.permitted_paths import require_permitted
from winslow_dagster.projects.inputs.resource_pool import POOL, Pool, PooledFile
from winslow_dagster.projects.inputs.uploads import received, size_of
from winslow_dagster.storage.archives import Archive, ArchiveFormat


class PoolCommands:
    """The pool of one installation."""

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

    def add(self, path: str | Path, name: str | None = None, upload: UploadStarted | None = None) -> PooledFile:
        """Copy a file or a directory into the pool, under its own name or another.

        Raises InputRejected, StoreError, ProjectConflict if the name is taken.
        """
        path = expanded(path)
        require_permitted(self._context.actor, self._context.settings, {"path": path})
        return self._add(path, name, upload)

    def _add(self, path: Path, name: str | None, upload: UploadStarted | None = None) -> PooledFile:
        self._context.actor.require("operator")
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

    def stored_file(self, name: str, path: str = "") -> ProjectFile:
        """One file of a directory of the pool, as a file of the stage `pool:NAME`; without a path, the only one.

        Raises NotFound.
        """
        manifest = self.files.file(name).manifest
        entries = [entry for entry in manifest.files if path in {entry.path, ""}]
        if len(entries) != 1:
            what = f"there is no {path!r} in it" if path else f"it is a directory with {len(entries)} files"
            raise NotFound(what, where=f"{POOL}{name}", expected="the path of a file in it")
        stage, chosen = f"{POOL}{name}", manifest.model_copy(update={"files": tuple(entries)})
        (file,) = files_of(self._context.store, "", {stage: chosen}, [stage])
        return file

    def read_file(self, file: ProjectFile, begin: int, end: int) -> bytes:
        """The bytes of a file from `begin` to before `end`, fewer if it is shorter than it was. Raises StoreError."""
        return read_file(self._context.store, file, begin, end)

    def remove(self, name: str) -> int:
        """Delete a file that no project uses; returns the bytes freed. Raises NotFound, ProjectConflict, StoreError."""
        self._context.actor.require("operator")
        freed_bytes = self.files.remove(name)
        self._context.audit("pool_remove", name=name, freed_bytes=freed_bytes)
        return freed_bytes
