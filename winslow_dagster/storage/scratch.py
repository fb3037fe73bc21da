"""Temporary working directories of processes. Later processes delete those of dead ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.disk import is_still, make_directories, sole_holder, try_lock

LOCK_SUFFIX = ".lock"


class Scratch:
    """Named directories in `root`, each with a lock file beside it. Methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def directory(self, name: str) -> Iterator[Path]:
        """An empty directory of that name, deleted at the end. One holder at a time: waits for it."""
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
        """Delete all directories whose holder is dead. Returns their number."""
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
