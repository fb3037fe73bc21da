"""What a look at a watched directory of 5,000 films costs, against only listing it."""

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
from winslow_dagster.projects.ingest.scan import look
from winslow_dagster.projects.ingest.sources import Watched, open_place
from winslow_dagster.projects.ingest.table import Landings
from winslow_dagster.settings import Settings

FILES = 5000
ROUNDS = 15
FILM = bytes.fromhex("00000008667479700000000866726565000000086d6f6f76")
STEADY_GOAL = 20.0


def figures() -> Iterator[Figure]:
    """On SQLite. The first look notes all files; those after it that settled find nothing changed."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as folder:
        place, home = Path(folder) / "place", Path(folder) / "home"
        place.mkdir()
        for number in range(FILES):
            (place / f"{number:04}.mp4").write_bytes(FILM)
        settings = Settings.read({"WINSLOW_HOME": str(home)})
        watch = Watch(name="drone", place=str(place), pipeline="traffic", settle_s=0)
        watched = Watched(watch, open_place(watch, settings), "video", ProjectInput(kind="video"))
        landings = Landings(Database(settings.database_url))

        def one_look() -> int:
            return look(watched, landings, datetime.now(UTC)).settled

        first_s = timed(one_look)
        while one_look():
            pass
        pairs = [(timed(one_look), timed(lambda: listing(place))) for _ in range(ROUNDS)]
    ratio = median(ours / bare for ours, bare in pairs)
    yield Figure("landings_5000_first_look", round(first_s, 3), "s", "", None)
    yield Figure("landings_5000_look", round(median(ours for ours, _ in pairs), 4), "s", "", None)
    goal = f"<= {STEADY_GOAL:g}"
    yield Figure("landings_5000_look_vs_scandir", round(ratio, 2), "ratio", goal, ratio <= STEADY_GOAL)


def listing(place: Path) -> int:
    with os.scandir(place) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
