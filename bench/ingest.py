"""What a scan of a watched directory with 5,000 films costs, compared with listing it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.figure import Figure
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.scan import scan
from winslow_dagster.projects.ingest.sources import OpenWatch, open_source
from winslow_dagster.projects.ingest.table import IngestTable
from winslow_dagster.settings import Settings

FILES = 5000
ROUNDS = 15
FILM = bytes.fromhex("00000008667479700000000866726565000000086d6f6f76")
STEADY_GOAL = 20.0


def figures() -> Iterator[Figure]:
    """On SQLite. The first scan records all files; once all are ready, later ones find no changes."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as folder:
        source, home = Path(folder) / "source", Path(folder) / "home"
        source.mkdir()
        for number in range(FILES):
            (source / f"{number:04}.mp4").write_bytes(FILM)
        settings = Settings.read({"WINSLOW_HOME": str(home)})
        watch = Watch(name="drone", source=str(source), pipeline="traffic", stable_for_s=0)
        opened = OpenWatch(watch, open_source(watch, settings), "video", ProjectInput(kind="video"))
        table = IngestTable(Database(settings.database_url))

        def one_scan() -> int:
            return scan(opened, table, datetime.now(UTC)).ready

        first_s = timed(one_scan)
        while one_scan():
            pass
        pairs = [(timed(one_scan), timed(lambda: listing(source))) for _ in range(ROUNDS)]
    ratio = median(ours / bare for ours, bare in pairs)
    yield Figure("ingest_5000_first_scan", round(first_s, 3), "s", "", None)
    yield Figure("ingest_5000_scan", round(median(ours for ours, _ in pairs), 4), "s", "", None)
    goal = f"<= {STEADY_GOAL:g}"
    yield Figure("ingest_5000_scan_vs_scandir", round(ratio, 2), "ratio", goal, ratio <= STEADY_GOAL)


def listing(directory: Path) -> int:
    with os.scandir(directory) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
