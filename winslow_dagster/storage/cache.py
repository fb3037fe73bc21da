"""Caches the inputs of a node's stages by content (blake3), so that each file is fetched once.

    blobs/<2 digits>/<blake3>     the files, read-only
    incoming/<blake3>/            a file that is being fetched; beside it `.lock`, held by the process that fetches it

A view is a directory of hard links to cached files: the link count of a file shows whether it is in use. No other state
exists that a killed process could leave wrong: its lock is free, its partial file is discarded, and a view appears
complete (by rename) or not at all.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from winslow_dagster.errors import DiskFull, StoreError
from winslow_dagster.paths import expanded
from winslow_dagster.storage.cached_files import CachedFiles
from winslow_dagster.storage.directories import entries_below, make_parents, remove_directory
from winslow_dagster.storage.disk import (
    READ_ONLY_DIRECTORY,
    disk_errors,
    disk_full,
    free_bytes,
    make_directories,
)
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.parallel import each
from winslow_dagster.storage.store import BytesMoved, Store

FILES_AT_ONCE = 8
LARGE_BYTES = 16 << 20  # from here on a store moves the parts of one file in parallel by itself


class NodeCache:
    """The cache in the directory `root`. Any number of processes on one machine may share it.

    Before it fetches, it drops the least recently used files beyond `limit_bytes`. Files in use are never dropped: what
    running stages need may exceed the limit, as long as the disk has space.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = expanded(root).absolute()
        self.limit_bytes = limit_bytes
        self._files = CachedFiles(self.root)

    def view(self, store: Store, manifest: Manifest, target: Path, moved: BytesMoved | None = None) -> Path:
        """A read-only directory with exactly the manifest's files: the store's own if it has one, else `target`.

        `target` must be on the cache's file system. Only one process may create it at a time; after a crash, call this
        again. `moved` is called for all bytes, including cached ones. Raises StoreError.
        """
        own = store.read_only_path(manifest)
        if own is None:
            with disk_errors(f"{manifest.address} to {self.root}", disk=self.root, needed_bytes=manifest.size_bytes):
                complete = self._is_complete(target, manifest)
                if not complete:
                    self._build(store, manifest, target, moved)
                # Only now, because a read-only directory cannot be renamed. Also repairs what a killed process left.
                target.chmod(READ_ONLY_DIRECTORY)
                if not complete:
                    return target
        if moved:
            moved(manifest.size_bytes)
        return own or target

    def require_unchanged(self, store: Store, manifest: Manifest, target: Path) -> None:
        """Raise StoreError if a file of the view was changed since `view` returned it."""
        with disk_errors(f"{manifest.address} in {target}", disk=self.root):
            if store.read_only_path(manifest) is None:
                for entry in manifest.files:
                    self._files.require_unchanged(target / entry.path, entry)

    def _is_complete(self, target: Path, manifest: Manifest) -> bool:
        """Whether `target` has exactly the manifest's files, all of them links into the cache."""
        if not target.is_dir() or files_below(target) != len(manifest.files):
            return False
        return all(
            self._files.path(entry).exists()
            and (target / entry.path).exists()
            and self._files.path(entry).samefile(target / entry.path)
            for entry in manifest.files
        )

    def _build(self, store: Store, manifest: Manifest, target: Path, moved: BytesMoved | None) -> None:
        make_directories(self.root)
        make_directories(target.parent)
        if target.parent.stat().st_dev != self.root.stat().st_dev:
            raise StoreError(
                "the view and the cache are on different file systems",
                where=f"{target} and {self.root}",
                remedy="Keep all of WINSLOW_HOME on one file system.",
            )
        self._make_room(manifest)
        building = target.with_name(f".{target.name}.building")
        remove_directory(building)
        remove_directory(target)
        building.mkdir()
        try:
            self._fill(building, store, manifest, moved)
            for entry in entries_below(building):
                if entry.is_dir(follow_symlinks=False):
                    Path(entry).chmod(READ_ONLY_DIRECTORY)
            building.rename(target)
        finally:
            remove_directory(building)

    def _fill(self, view: Path, store: Store, manifest: Manifest, moved: BytesMoved | None) -> None:
        make_parents(view, [entry.path for entry in manifest.files])

        def add(entry: FileEntry) -> None:
            name = view / entry.path
            if self._files.link(entry, name):
                if moved:
                    moved(entry.size_bytes)
                return
            # One process of this node fetches the file; the others find it in the cache afterwards.
            with self._files.place_for(entry) as place:
                if self._files.link(entry, name):
                    if moved:
                        moved(entry.size_bytes)
                    return
                fetched = place / "file"
                self._fetch(store, manifest, entry, fetched, moved)
                self._files.admit(fetched, entry, name)

        each(add, [entry for entry in manifest.files if entry.size_bytes < LARGE_BYTES], at_once=FILES_AT_ONCE)
        each(add, [entry for entry in manifest.files if entry.size_bytes >= LARGE_BYTES], at_once=1)

    def _fetch(
        self, store: Store, manifest: Manifest, entry: FileEntry, fetched: Path, moved: BytesMoved | None
    ) -> None:
        """Fetch a file. If the disk fills up meanwhile, drop cached files and retry once."""
        reported = Reported(moved)
        try:
            store.fetch_file(manifest, entry, fetched, reported)
        except DiskFull:
            if not self._files.drop(entry.size_bytes, spare=hashes(manifest)):
                raise
            reported.restart()
            store.fetch_file(manifest, entry, fetched, reported)

    def _make_room(self, manifest: Manifest) -> None:
        """Make room for the manifest's missing files. Raises DiskFull."""
        self._files.sweep()
        missing = {entry.blake3: entry.size_bytes for entry in manifest.files if not self._files.path(entry).exists()}
        needed_bytes = sum(missing.values())
        over_bytes = self._files.size_bytes() + needed_bytes - self.limit_bytes
        lacking_bytes = needed_bytes - free_bytes(self.root)
        self._files.drop(max(over_bytes, lacking_bytes), spare=hashes(manifest))
        if needed_bytes > free_bytes(self.root):
            in_use = f"{manifest.address} ({self._files.in_use_bytes()} bytes of the cache are in use)"
            raise disk_full(in_use, disk=self.root, needed_bytes=needed_bytes)


class Reported:
    """Reports bytes as they move, but not again when they are moved again."""

    def __init__(self, moved: BytesMoved | None) -> None:
        self._moved = moved
        self._reported_bytes = 0
        self._moved_bytes = 0
        self._lock = Lock()

    def __call__(self, count_bytes: int) -> None:
        """Count the bytes moved since the last call."""
        with self._lock:
            self._moved_bytes += count_bytes
            new_bytes = max(0, self._moved_bytes - self._reported_bytes)
            self._reported_bytes += new_bytes
        if self._moved and new_bytes:
            self._moved(new_bytes)

    def restart(self) -> None:
        """Start over: bytes up to the number already reported are not reported again."""
        self._moved_bytes = 0


def files_below(directory: Path) -> int:
    """The number of files below a directory."""
    return sum(not entry.is_dir(follow_symlinks=False) for entry in entries_below(directory))


def hashes(manifest: Manifest) -> frozenset[str]:
    """The names of a manifest's files in the cache."""
    return frozenset(entry.blake3 for entry in manifest.files)
