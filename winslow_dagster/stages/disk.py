"""A full disk, told before a stage starts and while it runs."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import StageFailed
from winslow_dagster.stages.formatting import size_in_words

MIB = 1024 * 1024
REFUSE_BELOW_BYTES = 64 * MIB
"""With less than this a stage is not started: it could not even write its log."""
WARN_BELOW_BYTES = 1024 * MIB
FULL_BELOW_BYTES = MIB
"""With less than this the disk counts as full: what fails then fails for that."""
BALLAST_BYTES = 4 * MIB
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Space:
    """Free and total bytes of the file system that holds `path`."""

    path: Path
    free_bytes: int
    total_bytes: int

    @classmethod
    def at(cls, path: Path) -> Space:
        """Look now."""
        found = os.statvfs(path)
        return cls(path, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    @property
    def full(self) -> bool:
        """Whether writing fails or is about to."""
        return self.free_bytes < FULL_BELOW_BYTES

    @property
    def low(self) -> bool:
        """Whether a person should look."""
        return self.free_bytes < WARN_BELOW_BYTES

    def __str__(self) -> str:
        free, total = size_in_words(self.free_bytes), size_in_words(self.total_bytes)
        return f"the disk that holds {self.path} has {free} of {total} free"


def refuse_full_disk(path: Path) -> Space:
    """The space at `path`. Raises StageFailed where there is too little to start with."""
    space = Space.at(path)
    if space.free_bytes < REFUSE_BELOW_BYTES:
        raise StageFailed(
            str(space),
            expected=f"at least {size_in_words(REFUSE_BELOW_BYTES)}",
            remedy="Delete something there and redo the stage",
        )
    return space


class ReservedSpace:
    """Bytes set aside while there is room, so that the end of the stage can be written down when there is none.

    Given back only once the stage has ended: it would eat them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> None:
        """Set them aside. Raises OSError."""
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)

    def drop(self) -> None:
        """Give them back."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
