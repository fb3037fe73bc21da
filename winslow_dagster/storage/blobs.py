"""The files of a node's cache, named by their blake3. Those with a second name somewhere are in use."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.storage.disk import READ_ONLY_FILE, make_directories
from winslow_dagster.storage.manifest import FileEntry
from winslow_dagster.storage.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Blob:
    """One file as it was found. `used_ns`: when a view last took it."""

    path: Path
    size_bytes: int
    used_ns: int
    in_use: bool


class Blobs:
    """The files below `root`. Methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self._whole = root / "blobs"
        self._incoming = Scratch(root / "incoming")

    def path(self, entry: FileEntry) -> Path:
        """Where the file is, if it is here."""
        return self._whole / entry.blake3[:2] / entry.blake3

    def place_for(self, entry: FileEntry) -> AbstractContextManager[Path]:
        """A directory to fetch the file to, for one process at a time; it waits while another one fetches it."""
        return self._incoming.directory(entry.blake3)

    def link(self, entry: FileEntry, name: Path) -> bool:
        """Give the file the name too, and note that it was used. False where it is not here."""
        try:
            os.link(self.path(entry), name)
        except FileNotFoundError:
            return False
        # By the new name, for the file may be dropped from the cache at any moment; only atime, which no stage heeds.
        os.utime(name, ns=(time.time_ns(), name.stat().st_mtime_ns))
        return True

    def admit(self, fetched: Path, entry: FileEntry, name: Path) -> None:
        """Make what was fetched a file of the cache, and give it the name, without a moment in which it is unused."""
        fetched.chmod(READ_ONLY_FILE)
        os.link(fetched, name)
        make_directories(self.path(entry).parent)
        fetched.rename(self.path(entry))

    def size_bytes(self) -> int:
        """What all of them take."""
        return sum(blob.size_bytes for blob in self._found())

    def in_use_bytes(self) -> int:
        """What those take that views have."""
        return sum(blob.size_bytes for blob in self._found() if blob.in_use)

    def drop(self, wanted_bytes: int, *, spare: frozenset[str]) -> int:
        """Delete files that are not in use nor in `spare`, those used longest ago first. Gives the bytes freed."""
        freed_bytes = 0
        for blob in sorted(self._found(), key=lambda blob: blob.used_ns):
            if freed_bytes >= wanted_bytes:
                break
            if not blob.in_use and blob.path.name not in spare:
                blob.path.unlink(missing_ok=True)
                freed_bytes += blob.size_bytes
        return freed_bytes

    def sweep(self) -> None:
        """Delete what fetchers that were killed left behind."""
        self._incoming.sweep()

    def _found(self) -> Iterator[Blob]:
        for directory, _, names in os.walk(self._whole):
            for path in (Path(directory, name) for name in names):
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # dropped by another process
                yield Blob(path, status.st_size, status.st_atime_ns, in_use=status.st_nlink > 1)
