"""Detects a full disk before a stage starts and while it runs."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import StageFailed
from winslow_dagster.formatting import format_size

MIB = 1024 * 1024
REFUSE_BELOW_BYTES = 64 * MIB
"""With less free space than this a stage is not started: it could not even write its log."""
WARN_BELOW_BYTES = 1024 * MIB
FULL_BELOW_BYTES = MIB
"""With less free space than this the disk counts as full, and explains any failure."""
RESERVED_BYTES = 4 * MIB
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Space:
    """Free and total bytes of the file system that contains `path`."""

    path: Path
    free_bytes: int
    total_bytes: int

    @classmethod
    def at(cls, path: Path) -> Space:
        """The space of the file system now."""
        found = os.statvfs(path)
        return cls(path, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    @property
    def full(self) -> bool:
        """Whether writes fail or will soon fail."""
        return self.free_bytes < FULL_BELOW_BYTES

    @property
    def low(self) -> bool:
        """Whether to warn."""
        return self.free_bytes < WARN_BELOW_BYTES

    def __str__(self) -> str:
        free, total = format_size(self.free_bytes), format_size(self.total_bytes)
        return f"the disk that holds {self.path} has {free} of {total} free"


def refuse_full_disk(path: Path) -> Space:
    """The space at `path`. Raises StageFailed if it is too little to start a stage."""
    space = Space.at(path)
    if space.free_bytes < REFUSE_BELOW_BYTES:
        raise StageFailed(
            str(space),
            expected=f"at least {format_size(REFUSE_BELOW_BYTES)}",
            remedy="Free space on this disk and redo the stage",
        )
    return space


class ReservedSpace:
    """Reserves disk space, so that the end of the stage can be recorded even if the stage fills the disk.

    Release it only after the stage has ended: a running stage would use it up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self) -> None:
        """Allocate the space. Raises OSError."""
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVED_BYTES)

    def release(self) -> None:
        """Free the space."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
