"""Directories that processes work in while they live. What a dead one left behind is swept away by those who follow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from winslow_dagster.storage.disk import is_still, make_directories, remove_directory, sole_holder, try_lock

LOCK_SUFFIX = ".lock"


class Scratch:
    """Named directories under `root`, each with a lock file beside it that its holder has. Methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def directory(self, name: str) -> Iterator[Path]:
        """The empty directory of that name, for one holder at a time: waits for it. It is gone afterwards."""
        make_directories(self.root)
        with sole_holder(self._lock(name)):
            directory = self.root / name
            remove_directory(directory)
            directory.mkdir()
            try:
                yield directory
            finally:
                remove_directory(directory)

    def sweep(self) -> int:
        """Delete every directory whose holder is dead; how many."""
        count = 0
        if not self.root.is_dir():
            return count
        for name in {path.name.removesuffix(LOCK_SUFFIX) for path in self.root.iterdir()}:
            lock = self._lock(name)
            descriptor = try_lock(lock)
            if descriptor is None:
                continue
            if is_still(lock, descriptor):
                remove_directory(self.root / name)
                lock.unlink()
                count += 1
            os.close(descriptor)
        return count

    def _lock(self, name: str) -> Path:
        return self.root / (name + LOCK_SUFFIX)
