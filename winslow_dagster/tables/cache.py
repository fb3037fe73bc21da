"""The tables that were read, each once, by the content of its file; the ones unused longest are deleted.

<key>.sqlite   a table
<key>.fault    why the file is none
<key>.lock     held while a process reads it to <key>.part
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from winslow_dagster.errors import InputRejected
from winslow_dagster.locks import take
from winslow_dagster.storage.disk import disk_errors, make_directories
from winslow_dagster.tables.model import Reading
from winslow_dagster.tables.table import Table

FORMAT = "1"
"""Part of each key: tables of another form are read again."""
LIMIT_BYTES = 4 << 30
AT_ONCE = 2
TIMEOUT_S = 1800
FAULT_KEPT_CHARACTERS = 1000
TableKind = Literal["csv", "parquet", "geojson"]
Source = Callable[[], contextlib.AbstractContextManager[Path]]
"""Makes the file readable at a local path, while the block lasts."""


@dataclass(eq=False)
class _Job:
    progress: Reading = field(default_factory=Reading)
    ended: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class TableCache:
    """The tables in the directory `root`. Several processes may share it."""

    def __init__(self, root: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def open(self, key: str, kind: TableKind, source: Source, wait_s: float) -> Table | Reading:
        """The table, or how far its reading is after at most `wait_s`. The first to ask starts it.

        Raises InputRejected if the file is no table, and what `source` raises.
        """
        name = f"{key}.{FORMAT}"
        return self._found(name) or self._wait(self._job(name, name, kind, source), name, wait_s) or Reading()

    def open_growing(self, key: str, size_bytes: int, source: Source, wait_s: float) -> Table | Reading:
        """The same of a CSV file that grows: the latest state that was read, while a later one is being read."""
        name = f"{key}-{size_bytes}.{FORMAT}"
        found = self._found(name) or self._wait(self._job(key, name, "csv", source), name, wait_s)
        if isinstance(found, Table):
            return found
        states = {int(path.name.split("-")[-1].split(".")[0]): path for path in self._root.glob(f"{key}-*.sqlite")}
        for size in sorted(states)[:-1]:
            states[size].unlink(missing_ok=True)
        latest = self._found(states[max(states)].name.removesuffix(".sqlite")) if states else None
        return latest or found or Reading()

    def _job(self, at: str, name: str, kind: TableKind, source: Source) -> _Job:
        """The reading that goes on there, or a new one."""
        with self._lock:
            for each in [each for each, job in self._jobs.items() if job.ended.is_set() and each != at]:
                del self._jobs[each]
            job = self._jobs.get(at)
            if job is None or job.ended.is_set():
                job = self._jobs[at] = _Job()
                reader = functools.partial(self._read, name, kind, source, job)
                threading.Thread(target=reader, name=f"table {name[:8]}", daemon=True).start()
        return job

    def _wait(self, job: _Job, name: str, wait_s: float) -> Table | Reading | None:
        if not job.ended.wait(wait_s):
            return job.progress
        if job.error is not None:
            raise job.error
        return self._found(name)

    def _found(self, name: str) -> Table | None:
        path = self._root / f"{name}.sqlite"
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return Table.open(path)
        with contextlib.suppress(FileNotFoundError):
            raise InputRejected((self._root / f"{name}.fault").read_text("utf-8"))
        return None

    def _read(self, name: str, kind: TableKind, source: Source, job: _Job) -> None:
        try:
            with self._turns, disk_errors(str(self._root), disk=self._root):
                make_directories(self._root)
                self._make_room()
                with _lock_file(self._root / f"{name}.lock") as mine:
                    # Another process reads it: who asked, asks again.
                    if mine and self._missing(name):
                        with source() as path:
                            self._read_in_a_process(name, kind, path, job)
        except Exception as error:  # noqa: BLE001  # raised to who asked
            job.error = error
        finally:
            job.ended.set()

    def _missing(self, name: str) -> bool:
        return not any((self._root / f"{name}.{ending}").exists() for ending in ("sqlite", "fault"))

    def _read_in_a_process(self, name: str, kind: TableKind, path: Path, job: _Job) -> None:
        part = self._root / f"{name}.part"
        part.unlink(missing_ok=True)
        command = [sys.executable, "-m", "winslow_dagster.tables.read_file", kind, str(path), str(part)]
        fault = "its reading was ended: it takes too long, or too much memory"
        try:
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                end = threading.Timer(TIMEOUT_S, process.kill)
                end.start()
                for said in _objects(process):
                    if "done" in said:
                        fault = ""
                    elif "fault" in said:
                        fault = str(said["fault"])
                    else:
                        job.progress = Reading(rows=said["rows"], share=said["share"])
                end.cancel()
            if fault:
                (self._root / f"{name}.fault").write_text(fault[:FAULT_KEPT_CHARACTERS], "utf-8")
                raise InputRejected(fault[:FAULT_KEPT_CHARACTERS])
            part.replace(self._root / f"{name}.sqlite")
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Delete the tables that were unused longest, beyond the limit. Those that are open stay readable."""
        kept = []
        for path in self._root.iterdir():
            if path.suffix in {".sqlite", ".fault"}:
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    kept.append((status.st_mtime, status.st_size, path))
        total_bytes = 0
        for _, size_bytes, path in sorted(kept, reverse=True):
            total_bytes += max(size_bytes, 4096)
            if total_bytes > self._limit_bytes:
                path.unlink(missing_ok=True)


def _objects(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None  # noqa: S101  # a pipe
    for line in process.stdout:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        mine = take(descriptor)
        yield mine
        if mine:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@functools.cache
def table_cache(root: Path) -> TableCache:
    """The one of this process for the directory."""
    return TableCache(root)
