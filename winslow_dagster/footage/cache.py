"""What was made of footage, by the content of the footage: a directory that forgets what was not used for longest."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from winslow_dagster.storage.disk import disk_errors, locked

COUNT_AFTER_BYTES = 64 << 20
PARTIAL = ".partial"


class FootageCache:
    """Files in `root`, each named by the hash of the footage and a name of its own. Shared by any number of processes.

    What is over `limit_bytes` is deleted, at the latest after another 64 MiB. Methods raise StoreError.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root
        self._limit_bytes = limit_bytes
        self._added_bytes = COUNT_AFTER_BYTES
        self._lock = threading.Lock()

    def path(self, blake3: str, name: str) -> Path:
        """Where the file is, if it is there."""
        return self.root / blake3[:2] / blake3 / name

    def read(self, blake3: str, name: str) -> bytes | None:
        """The content of a file; None if it is not there."""
        path = self.path(blake3, name)
        with disk_errors(str(path), disk=self.root):
            try:
                content = path.read_bytes()
                os.utime(path)
            except FileNotFoundError:
                return None
            return content

    def write(self, blake3: str, name: str, content: bytes) -> None:
        """Keep a file. It appears complete or not at all."""
        with self.new(blake3, name) as path:
            path.write_bytes(content)

    @contextmanager
    def new(self, blake3: str, name: str) -> Iterator[Path]:
        """A path to write a file to, which is kept if the block succeeds."""
        path = self.path(blake3, name)
        with disk_errors(str(path), disk=self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{uuid4().hex}{PARTIAL}")
            try:
                yield partial
                added_bytes = partial.stat().st_size
                partial.rename(path)
            finally:
                partial.unlink(missing_ok=True)
            self._make_room(added_bytes)

    @contextmanager
    def alone(self, blake3: str, name: str) -> Iterator[None]:
        """Make something while nobody else makes it: the second finds it made."""
        path = self.path(blake3, f"{name}.lock")
        with disk_errors(str(path), disk=self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            yield

    def _make_room(self, added_bytes: int) -> None:
        with self._lock:
            self._added_bytes += added_bytes
            if self._added_bytes < COUNT_AFTER_BYTES:
                return
            self._added_bytes = 0
        found = []
        for directory, _, names in os.walk(self.root):
            for name in names:
                path = Path(directory, name)
                with suppress(FileNotFoundError):
                    status = path.stat()
                    found.append((status.st_mtime_ns, status.st_size, path))
        left_bytes = sum(size_bytes for _, size_bytes, _ in found)
        for _, size_bytes, path in sorted(found):
            if left_bytes <= self._limit_bytes:
                return
            path.unlink(missing_ok=True)
            left_bytes -= size_bytes
            with suppress(OSError):
                path.parent.rmdir()
