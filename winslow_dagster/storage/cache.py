"""The inputs of a node's stages, fetched once and kept by what is in them (blake3), however many stages read them.

    blobs/<2 digits>/<blake3>     the files, read-only
    incoming/<blake3>/            one that is being fetched, and beside it `.lock`, held by whoever fetches it

A view is a directory of hard links to blobs: while it stands, the link count of its blobs says that they are in use.
Nothing is counted anywhere else, so nothing is wrong after a process was killed: a dead fetcher's lock is free, its
file is thrown away, and a view appears whole (by rename) or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from winslow_dagster.errors import DiskFull, StoreError
from winslow_dagster.storage.blobs import Blobs
from winslow_dagster.storage.disk import (
    READ_ONLY_DIRECTORY,
    disk_errors,
    disk_full,
    free_bytes,
    make_directories,
    remove_directory,
)
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.parallel import each
from winslow_dagster.storage.store import BytesMoved, Store

FILES_AT_ONCE = 8
LARGE_BYTES = 16 << 20  # from here on a store moves the parts of one file in parallel by itself


class NodeCache:
    """The cache in the directory `root`. Any number of processes of one machine may share it.

    `limit_bytes` is what it keeps at most for later: before it fetches, it drops what was used longest ago. What
    running stages need at the same time may be more, as long as the disk has room; files in use are never dropped.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root.expanduser().absolute()
        self.limit_bytes = limit_bytes
        self._blobs = Blobs(self.root)

    def view(self, store: Store, manifest: Manifest, target: Path, moved: BytesMoved | None = None) -> Path:
        """A directory with exactly the manifest's files, read-only: the store's own where it has one, else `target`.

        `target` has to be on the cache's file system, and one process at a time makes it; done again after a crash,
        it gives the same view. `moved` hears of every byte, of those that are here already too. Raises StoreError.
        """
        own = store.read_only_path(manifest)
        if own is None:
            with disk_errors(f"{manifest.address} to {self.root}", disk=self.root, needed_bytes=manifest.size_bytes):
                shown = self._shows(target, manifest)
                if not shown:
                    self._build(store, manifest, target, moved)
                # Only now: a directory that is not writable cannot be renamed. A killed process may have left it so.
                target.chmod(READ_ONLY_DIRECTORY)
                if not shown:
                    return target
        if moved:
            moved(manifest.size_bytes)
        return own or target

    def _shows(self, target: Path, manifest: Manifest) -> bool:
        """Whether `target` is the whole view already: exactly the manifest's files, and each the cache's own."""
        if not target.is_dir() or sum(len(names) for _, _, names in os.walk(target)) != len(manifest.files):
            return False
        return all(
            self._blobs.path(entry).exists()
            and (target / entry.path).exists()
            and self._blobs.path(entry).samefile(target / entry.path)
            for entry in manifest.files
        )

    def _build(self, store: Store, manifest: Manifest, target: Path, moved: BytesMoved | None) -> None:
        make_directories(self.root)
        make_directories(target.parent)
        if target.parent.stat().st_dev != self.root.stat().st_dev:
            raise StoreError(
                "the view and the cache are on different file systems",
                where=f"{target} and {self.root}",
                remedy="Let WINSLOW_HOME be on one file system.",
            )
        self._make_room(manifest)
        building = target.with_name(f".{target.name}.building")
        remove_directory(building)
        remove_directory(target)
        building.mkdir()
        try:
            self._fill(building, store, manifest, moved)
            for directory, names, _ in os.walk(building):
                for name in names:
                    Path(directory, name).chmod(READ_ONLY_DIRECTORY)
            building.rename(target)
        finally:
            remove_directory(building)

    def _fill(self, view: Path, store: Store, manifest: Manifest, moved: BytesMoved | None) -> None:
        for directory in {(view / entry.path).parent for entry in manifest.files}:
            directory.mkdir(parents=True, exist_ok=True)

        def show(entry: FileEntry) -> None:
            name = view / entry.path
            if self._blobs.link(entry, name):
                if moved:
                    moved(entry.size_bytes)
                return
            # Of all who want this file, on this node, one fetches it; the others find it when their turn comes.
            with self._blobs.place_for(entry) as place:
                if self._blobs.link(entry, name):
                    if moved:
                        moved(entry.size_bytes)
                    return
                fetched = place / "file"
                self._fetch(store, manifest, entry, fetched, moved)
                self._blobs.admit(fetched, entry, name)

        each(show, [entry for entry in manifest.files if entry.size_bytes < LARGE_BYTES], at_once=FILES_AT_ONCE)
        each(show, [entry for entry in manifest.files if entry.size_bytes >= LARGE_BYTES], at_once=1)

    def _fetch(
        self, store: Store, manifest: Manifest, entry: FileEntry, fetched: Path, moved: BytesMoved | None
    ) -> None:
        """Fetch a file; where the disk fills up meanwhile, drop what can be dropped, and once more."""
        reported = Reported(moved)
        try:
            store.fetch_file(manifest, entry, fetched, reported)
        except DiskFull:
            if not self._blobs.drop(entry.size_bytes, spare=hashes(manifest)):
                raise
            reported.begin_again()
            store.fetch_file(manifest, entry, fetched, reported)

    def _make_room(self, manifest: Manifest) -> None:
        """Drop what has to go before this manifest is fetched. Raises DiskFull where that is not enough."""
        self._blobs.sweep()
        missing = {entry.blake3: entry.size_bytes for entry in manifest.files if not self._blobs.path(entry).exists()}
        needed_bytes = sum(missing.values())
        over_bytes = self._blobs.size_bytes() + needed_bytes - self.limit_bytes
        lacking_bytes = needed_bytes - free_bytes(self.root)
        self._blobs.drop(max(over_bytes, lacking_bytes), spare=hashes(manifest))
        if needed_bytes > free_bytes(self.root):
            in_use = f"{manifest.address} ({self._blobs.in_use_bytes()} bytes of the cache are in use)"
            raise disk_full(in_use, disk=self.root, needed_bytes=needed_bytes)


class Reported:
    """Tells a caller of bytes as they move, and of none twice when they have to move again."""

    def __init__(self, moved: BytesMoved | None) -> None:
        self._moved = moved
        self._told_bytes = 0
        self._now_bytes = 0
        self._lock = Lock()

    def __call__(self, count_bytes: int) -> None:
        """So many bytes have moved since the last call."""
        with self._lock:
            self._now_bytes += count_bytes
            new_bytes = max(0, self._now_bytes - self._told_bytes)
            self._told_bytes += new_bytes
        if self._moved and new_bytes:
            self._moved(new_bytes)

    def begin_again(self) -> None:
        """What comes from now on was told already, up to where the first attempt got."""
        self._now_bytes = 0


def hashes(manifest: Manifest) -> frozenset[str]:
    """What a manifest's files are called in the cache."""
    return frozenset(entry.blake3 for entry in manifest.files)
