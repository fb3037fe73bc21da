"""The files of a node's cache, named by their blake3. Those with a second name somewhere are in use."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.storage.disk import READ_ONLY_FILE, is_still, make_directories, try_lock
from winslow_dagster.storage.manifest import FileEntry

LOCK_SUFFIX = ".lock"


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
        self._incoming = root / "incoming"

    def prepare(self) -> None:
        """Make the directories."""
        make_directories(self._whole)
        make_directories(self._incoming)

    def path(self, entry: FileEntry) -> Path:
        """Where the file is, if it is here."""
        return self._whole / entry.blake3[:2] / entry.blake3

    def incoming(self, entry: FileEntry) -> Path:
        """Where the file is written while it is fetched."""
        return self._incoming / entry.blake3

    def lock(self, entry: FileEntry) -> Path:
        """The lock file of whoever fetches the file."""
        return self._incoming / (entry.blake3 + LOCK_SUFFIX)

    def link(self, entry: FileEntry, name: Path) -> bool:
        """Give the file the name too, and note that it was used. False where it is not here."""
        try:
            os.link(self.path(entry), name)
        except FileNotFoundError:
            return False
        # By the new name, for the file may be dropped from the cache at any moment; only atime, which no stage heeds.
        os.utime(name, ns=(time.time_ns(), name.stat().st_mtime_ns))
        return True

    def admit(self, entry: FileEntry, name: Path) -> None:
        """Make what was fetched a file of the cache, and give it the name, without a moment in which it is unused."""
        incoming, whole = self.incoming(entry), self.path(entry)
        incoming.chmod(READ_ONLY_FILE)
        os.link(incoming, name)
        whole.parent.mkdir(exist_ok=True)
        incoming.rename(whole)

    def take(self, source: Path, entry: FileEntry) -> int:
        """Take a file from elsewhere on this file system by a second name. Gives the bytes that are new here."""
        whole = self.path(entry)
        make_directories(whole.parent)
        status = source.stat()
        if status.st_size != entry.size_bytes or os.geteuid() not in {0, status.st_uid}:
            return 0
        try:
            os.link(source, whole)
        except FileExistsError:
            return 0
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                raise
            return 0
        whole.chmod(READ_ONLY_FILE)
        return entry.size_bytes

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
        if not self._incoming.is_dir():
            return
        for path in list(self._incoming.iterdir()):
            lock = path if path.name.endswith(LOCK_SUFFIX) else path.with_name(path.name + LOCK_SUFFIX)
            descriptor = try_lock(lock)
            if descriptor is None:
                continue
            if is_still(lock, descriptor):
                path.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
            os.close(descriptor)

    def _found(self) -> Iterator[Blob]:
        for directory, _, names in os.walk(self._whole):
            for path in (Path(directory, name) for name in names):
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # dropped by another process
                yield Blob(path, status.st_size, status.st_atime_ns, in_use=status.st_nlink > 1)
