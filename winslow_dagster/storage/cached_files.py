"""The files of a node's cache, named by their blake3. A file with another hard link is in use."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.disk import READ_ONLY_FILE, make_directories
from winslow_dagster.storage.manifest import FileEntry
from winslow_dagster.storage.scratch import Scratch

CACHED_NS = 946_684_800 * 10**9
"""The modification time of all files in the cache, in the year 2000. Another one shows that a file was written to."""


@dataclass(frozen=True, slots=True)
class CachedFile:
    """One cached file. `used_ns`: when a view last linked it."""

    path: Path
    size_bytes: int
    used_ns: int
    in_use: bool


class CachedFiles:
    """The cached files in `root`. Methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self._whole = root / "blobs"
        self._incoming = Scratch(root / "incoming")

    def path(self, entry: FileEntry) -> Path:
        """The path of the file in the cache, whether it exists or not."""
        return self._whole / entry.blake3[:2] / entry.blake3

    def place_for(self, entry: FileEntry) -> AbstractContextManager[Path]:
        """A directory to fetch the file to. Waits while another process holds it."""
        return self._incoming.directory(entry.blake3)

    def link(self, entry: FileEntry, name: Path) -> bool:
        """Hard-link the file to `name` and record its use. Returns False if it is not in the cache, or was changed."""
        try:
            os.link(self.path(entry), name)
        except FileNotFoundError:
            return False
        try:
            self.require_unchanged(name, entry)
        except StoreError:
            name.unlink()
            return False
        # By the new name, because the cache may drop the file at any moment. Only atime, which stages do not use.
        os.utime(name, ns=(time.time_ns(), name.stat().st_mtime_ns))
        return True

    def require_unchanged(self, name: Path, entry: FileEntry) -> None:
        """Raise StoreError if a stage has written to the file, which is then no longer in the cache."""
        status = name.stat()
        if status.st_mtime_ns == CACHED_NS and status.st_size == entry.size_bytes:
            return
        try:
            entry.require(checksum(name), where=str(name))
        except StoreError:
            self.path(entry).unlink(missing_ok=True)
            raise
        os.utime(name, ns=(status.st_atime_ns, CACHED_NS))

    def admit(self, fetched: Path, entry: FileEntry, name: Path) -> None:
        """Move a fetched file into the cache and hard-link it to `name`, without a moment in which it is unused."""
        fetched.chmod(READ_ONLY_FILE)
        os.utime(fetched, ns=(time.time_ns(), CACHED_NS))
        os.link(fetched, name)
        make_directories(self.path(entry).parent)
        fetched.rename(self.path(entry))

    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(blob.size_bytes for blob in self._found())

    def in_use_bytes(self) -> int:
        """The size of the files that are in use."""
        return sum(blob.size_bytes for blob in self._found() if blob.in_use)

    def drop(self, wanted_bytes: int, *, spare: frozenset[str]) -> int:
        """Delete files neither in use nor in `spare`, least recently used first. Returns the bytes freed."""
        freed_bytes = 0
        for blob in sorted(self._found(), key=lambda blob: blob.used_ns):
            if freed_bytes >= wanted_bytes:
                break
            if not blob.in_use and blob.path.name not in spare:
                blob.path.unlink(missing_ok=True)
                freed_bytes += blob.size_bytes
        return freed_bytes

    def sweep(self) -> None:
        """Delete what killed processes left behind."""
        self._incoming.sweep()

    def _found(self) -> Iterator[CachedFile]:
        for directory, _, names in os.walk(self._whole):
            for path in (Path(directory, name) for name in names):
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # dropped by another process
                yield CachedFile(path, status.st_size, status.st_atime_ns, in_use=status.st_nlink > 1)
