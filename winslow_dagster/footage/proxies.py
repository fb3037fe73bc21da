"""Copies of videos that every browser plays, made in the background, one at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import FootageUnreadable, StoreError
from winslow_dagster.footage.cache import FootageCache
from winslow_dagster.footage.model import Proxy
from winslow_dagster.footage.process import Limits, decode
from winslow_dagster.footage.source import Source

LIMITS = Limits(wall_s=8 * 3600, cpu_s=8 * 3600, written_bytes=4 << 30)
CACHE_BYTES = 20 << 30
NAME = "proxy.mp4"


@dataclass
class _Job:
    """What is being made. `frames` are done; `problem` is why it failed."""

    frames: int = 0
    problem: str = ""


class Proxies:
    """The copies in a directory. What is being made when this process ends is made again when it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._cache = FootageCache(directory, CACHE_BYTES)
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def path(self, source: Source) -> Path | None:
        """The copy, if it is ready."""
        path = self._cache.path(source.blake3, NAME)
        return path if path.exists() else None

    def state(self, source: Source, frame_count: int) -> Proxy:
        """How far it is."""
        if self.path(source) is not None:
            return Proxy(state="ready", done=1.0)
        with self._lock:
            job = self._jobs.get(source.blake3)
        if job is None:
            return Proxy(state="none")
        if job.problem:
            return Proxy(state="failed", problem=job.problem)
        return Proxy(state="running", done=min(1.0, job.frames / max(1, frame_count)))

    def start(self, source: Source) -> None:
        """Make it, unless it is made or being made. Returns at once."""
        with self._lock:
            if self.path(source) is not None or source.blake3 in self._jobs:
                return
            job = self._jobs[source.blake3] = _Job()
        threading.Thread(target=self._make, args=(source, job), name="proxy", daemon=True).start()

    def _make(self, source: Source, job: _Job) -> None:
        def note(frames: int) -> None:
            job.frames = frames

        try:
            with self._turn, self._cache.new(source.blake3, NAME) as path, path.open("wb") as target:
                decode(source, "proxy", LIMITS, note, target=target)
        except (FootageUnreadable, StoreError) as error:
            job.problem = str(error)
            return
        with self._lock:
            del self._jobs[source.blake3]
