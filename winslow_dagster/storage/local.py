"""A store in a local directory. Outputs on the same file system are hard-linked, not copied.

A commit builds the tree in `staging/` from hard links to the source's files, or copies if links are impossible; moves
it to its final path; and writes the commit marker last. The source keeps its files until the marker is written, so a
commit that is killed at any moment can be repeated. The next commit deletes what dead processes left in `staging/`.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from winslow_dagster.errors import StoreError
from winslow_dagster.paths import expanded
from winslow_dagster.storage import layout
from winslow_dagster.storage.adding import checksums, take
from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.copying import copy_file
from winslow_dagster.storage.directories import entries_below, remove_directory
from winslow_dagster.storage.disk import (
    READ_ONLY_DIRECTORY,
    READ_ONLY_FILE,
    WRITABLE_DIRECTORY,
    disk_errors,
    locked,
    make_directories,
    move_directory,
    new_file,
    sync,
    sync_all,
    write_durably,
)
from winslow_dagster.storage.manifest import FileEntry, Location, Manifest
from winslow_dagster.storage.scratch import Scratch
from winslow_dagster.storage.store import BytesMoved, Store
from winslow_dagster.storage.tree import TreeFile, survey, survey_file


class LocalStore(Store):
    """Trees in the directory `root`, which the first commit creates."""

    def __init__(self, root: Path) -> None:
        self.root = expanded(root).absolute()
        self._staging = Scratch(self.root / "staging")
        self._lock = self.root / "commit.lock"

    def put_file(self, source: Path, address: str, moved: BytesMoved | None = None) -> Manifest:
        """See Store. The copy shares the source's blocks if the file system supports that."""
        committed = self.manifest(address)
        with disk_errors(f"{source} to {address}", disk=self.root):
            found = survey_file(source)
            if committed:
                committed.require_same(Manifest(address=address, files=checksums((found,), moved)))
                return committed
            with self._scratch() as scratch:
                files = scratch / "files"
                files.mkdir()
                digest = copy_file(source, files / found.path, moved)
                entry = FileEntry(path=found.path, size_bytes=found.status.st_size, blake3=digest)
                return self._commit(Manifest(address=address, files=(entry,)), files, scratch)

    def commit_tree(
        self,
        source: Path,
        address: str,
        moved: BytesMoved | None = None,
        *,
        keep_source: bool = False,
        known: Mapping[str, str] | None = None,
    ) -> Manifest:
        """See Store. Removes the source if its files could be hard-linked."""
        committed = self.manifest(address)
        if committed and not source.exists():
            return committed
        with disk_errors(address, disk=self.root), self._scratch() as scratch:
            if committed is None:
                # Its files may be hard links to those of the source, which would look like somebody else's.
                self._discard_uncommitted(address, scratch)
            with disk_errors(str(source), disk=source):
                found = survey(source, moved)
                if committed and not found:
                    return committed
                manifest = Manifest(address=address, files=checksums(found, moved, known))
            with disk_errors(f"{source} to {address}", disk=self.root, needed_bytes=manifest.size_bytes):
                if committed is None:
                    files = scratch / "files"
                    files.mkdir()
                    take(found, manifest.files, files, link=not keep_source)
                    committed = self._commit(manifest, files, scratch)
                else:
                    committed.require_same(manifest)
                if not keep_source and self._shares_files(address, found):
                    # Nobody may write to the store's files through another hard link. Moved in one step, because half
                    # a source would look like different content to a repeated commit.
                    move_directory(source, scratch / "source")
                return committed

    def manifest(self, address: str) -> Manifest | None:
        """See Store."""
        path = self.root / layout.manifest_key(address)
        with disk_errors(address, disk=self.root):
            try:
                return Manifest.model_validate_json(path.read_bytes())
            except FileNotFoundError:
                return None
            except ValidationError as error:
                raise StoreError(
                    "the manifest cannot be read",
                    where=str(path),
                    remedy="The file is damaged: restore it, or delete it and commit again.",
                ) from error

    def read_only_path(self, manifest: Manifest) -> Path | None:
        """See Store."""
        if manifest.composed:
            return None
        path = self._tree(manifest.address)
        if not path.is_dir():
            raise missing_error(manifest.address, path)
        with disk_errors(manifest.address, disk=self.root):
            committed_ns = (self.root / layout.manifest_key(manifest.address)).stat().st_mtime_ns
            for entry in manifest.files:
                self._require_unchanged(path / entry.path, entry, committed_ns)
        return path

    def fetch_file(self, manifest: Manifest, entry: FileEntry, target: Path, moved: BytesMoved | None = None) -> None:
        """See Store."""
        source = self._file(manifest.location(entry))
        with disk_errors(f"{source} to {target}", disk=target.parent, needed_bytes=entry.size_bytes):
            if not source.is_file():
                raise missing_error(manifest.address, source)
            with new_file(target) as partial:
                entry.require(copy_file(source, partial, moved), where=str(source))

    def read_range(self, manifest: Manifest, entry: FileEntry, start: int, length: int) -> bytes:
        """See Store."""
        source = self._file(manifest.location(entry))
        with disk_errors(str(source), disk=self.root):
            try:
                descriptor = os.open(source, os.O_RDONLY)
            except FileNotFoundError as error:
                raise missing_error(manifest.address, source) from error
            try:
                return os.pread(descriptor, length, start)
            finally:
                os.close(descriptor)

    def delete_tree(self, address: str) -> int:
        """See Store."""
        tree, marker = self._tree(address), self.root / layout.manifest_key(address)
        if not self.root.is_dir():
            return 0
        with disk_errors(address, disk=self.root), self._scratch() as scratch:
            with locked(self._lock):
                if marker.exists():
                    marker.unlink()
                    sync(marker.parent)
                freed_bytes = sum(file.status.st_size for file in survey(tree)) if tree.is_dir() else 0
                move_directory(tree, scratch / "deleted")
                prune(marker.parent, self.root)
                prune(tree.parent, self.root)
            return freed_bytes

    def delete_files(self, address: str, paths: Collection[str]) -> int:
        """See Store."""
        tree, marker = self._tree(address), self.root / layout.manifest_key(address)
        if not tree.is_dir():
            return 0
        with disk_errors(address, disk=self.root), self._scratch() as scratch, locked(self._lock):
            committed = self.manifest(address)
            if committed is not None and (left := committed.without(paths)) != committed:
                replace_marker(marker, left, scratch)
            return sum(remove_file(tree, Location(address=address, path=path)) for path in paths)

    def sweep(self, begun_before: datetime) -> int:
        """See Store. Locks show which commits are still running, so the time is not used."""
        del begun_before
        with disk_errors(str(self._staging.root), disk=self.root):
            return self._staging.sweep()

    def _require_unchanged(self, file: Path, entry: FileEntry, committed_ns: int) -> None:
        """Raise StoreError if a file was changed after its commit: then it is younger than the commit marker."""
        try:
            status = file.stat()
        except FileNotFoundError as error:
            raise missing_error(entry.path, file) from error
        if status.st_mtime_ns <= committed_ns and status.st_size == entry.size_bytes:
            return
        # A restored backup is younger, too. The checksum decides, and is computed only once.
        entry.require(checksum(file), where=str(file))
        with suppress(PermissionError):  # the store belongs to another user
            os.utime(file, ns=(status.st_atime_ns, committed_ns))

    def _shares_files(self, address: str, found: tuple[TreeFile, ...]) -> bool:
        """Whether a file of the tree is a hard link to one of these."""
        tree = self._tree(address)
        return any(os.path.samestat((tree / file.path).stat(), file.status) for file in found)

    def _discard_uncommitted(self, address: str, scratch: Path) -> None:
        """Delete the tree of a commit that was killed before it wrote its marker."""
        with locked(self._lock):
            if self.manifest(address) is None:
                move_directory(self._tree(address), scratch / "uncommitted")
        remove_directory(scratch / "uncommitted")

    def _tree(self, address: str) -> Path:
        return self.root / layout.tree_key(address)

    def _file(self, place: Location) -> Path:
        return self._tree(place.address) / place.path

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A temporary directory on the store's file system."""
        self._staging.sweep()
        with self._staging.directory(uuid.uuid4().hex) as directory:
            yield directory

    def _commit(self, manifest: Manifest, files: Path, scratch: Path) -> Manifest:
        """Make the tree `files` read-only, move it to its final path, and write its marker: then it exists."""
        directories = [Path(entry) for entry in entries_below(files) if entry.is_dir(follow_symlinks=False)]
        for entry in manifest.files:
            seal(files / entry.path)
        for directory in directories:
            directory.chmod(READ_ONLY_DIRECTORY)
        sync_all([*(files / entry.path for entry in manifest.files), *directories, files])
        tree, marker = self._tree(manifest.address), self.root / layout.manifest_key(manifest.address)
        with locked(self._lock):
            committed = self.manifest(manifest.address)
            if committed:
                committed.require_same(manifest)
                return committed
            move_directory(tree, scratch / "uncommitted")
            make_directories(tree.parent)
            make_directories(marker.parent)
            files.rename(tree)
            # Only now, because a read-only directory cannot be moved.
            tree.chmod(READ_ONLY_DIRECTORY)
            sync_all([tree, tree.parent])
            write_durably(marker, manifest.model_dump_json().encode(), scratch=scratch / "marker")
        return manifest


def seal(file: Path) -> None:
    """Make a file read-only. None is younger than the commit, so that a later change shows."""
    file.chmod(READ_ONLY_FILE)
    if file.stat().st_mtime_ns > time.time_ns():
        os.utime(file)


def replace_marker(marker: Path, left: Manifest, scratch: Path) -> None:
    """Write a smaller manifest. The marker's time stays that of the commit."""
    status = marker.stat()
    write_durably(marker, left.model_dump_json().encode(), scratch=scratch / "marker")
    os.utime(marker, ns=(status.st_atime_ns, status.st_mtime_ns))


def missing_error(address: str, path: Path) -> StoreError:
    """The error for a tree or file that is in a manifest but not on disk."""
    return StoreError(
        f"{path} is missing",
        where=address,
        expected="a committed tree",
        remedy="It was never committed to this store, or was deleted.",
    )


def remove_file(tree: Path, place: Location) -> int:
    """Delete a file of a committed tree, and directories that become empty. Returns its size; 0 if it is missing."""
    file = tree / place.path
    above = [parent for parent in file.parents if parent.is_relative_to(tree)]
    if not file.parent.is_dir():
        return 0
    for parent in above:
        parent.chmod(WRITABLE_DIRECTORY)
    size_bytes = file.stat().st_size if file.exists() else 0
    file.unlink(missing_ok=True)
    prune(file.parent, tree)
    for parent in above:
        if parent.is_dir():
            parent.chmod(READ_ONLY_DIRECTORY)
    return size_bytes


def prune(directory: Path, root: Path) -> None:
    """Remove empty directories from `directory` upwards, but not `root`."""
    while directory != root:
        try:
            directory.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            return
        directory = directory.parent
