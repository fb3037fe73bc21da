"""The pool with directories of 100,000 files: listing it, one file of it, and looking into a directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from statistics import median
from uuid import uuid4

from bench.figure import Figure
from bench.installation import winslow_home
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.pool_files import PoolFiles
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings
from winslow_dagster.storage.manifest import FileEntry, Manifest

FILMS = 300
DIRECTORIES = 3
FILES = 100_000
USERS = 10
"""Projects that have the first directory as an input."""
ROUNDS = 9
GOAL_LIST_S = 0.05
GOAL_ONE_S = 0.01
GOAL_FIRST_LOOK_S = 1.0
GOAL_LOOK_S = 0.01


def figures() -> Iterator[Figure]:
    """Every figure of this benchmark. Nothing is in the store: only lists are read."""
    with winslow_home({}) as settings:
        fill(settings)
        with Installation(settings, Services(settings), engine=InMemoryEngine()) as front:

            def page() -> None:
                front.footage_checks.of(front.pool.find().files)

            note = f"{FILMS} films and {DIRECTORIES} directories of {FILES} files, median of {ROUNDS}"
            yield goal("pool.list", took_s(page), GOAL_LIST_S, note)
            yield goal("pool.one_file", took_s(lambda: front.pool.details("film-7")), GOAL_ONE_S, "with its users")
            yield goal("pool.unchecked_films", took_s(front.footage_checks.waiting), GOAL_LIST_S, "all are")
            begun_s = time.perf_counter()
            front.pool.folder("directory-0")
            yield goal("pool.first_look", time.perf_counter() - begun_s, GOAL_FIRST_LOOK_S, f"of {FILES} files")
            yield goal(
                "pool.next_look", took_s(lambda: front.pool.folder("directory-0", "042")), GOAL_LOOK_S, "another folder"
            )


def fill(settings: Settings) -> None:
    """Films and directories, the first of which is an input of some projects."""
    records = ProjectRecords.open(settings.database_url)
    for name, paths in [
        *((f"film-{number}", [f"film-{number}.mp4"]) for number in range(FILMS)),
        *(
            (f"directory-{number}", [f"{each // 1000:03}/{each:06}.json" for each in range(FILES)])
            for number in range(DIRECTORIES)
        ),
    ]:
        address = f"{schema.POOL_ADDRESS}/{name}/{uuid4().hex}"
        entries = tuple(FileEntry(path=path, size_bytes=each, blake3=f"{each:064x}") for each, path in enumerate(paths))
        manifest = Manifest(address=address, files=entries)
        file = PooledFile(name, manifest, name, datetime.now(UTC), "bench")
        PoolFiles(records.database).add(file)
        if name == "directory-0":
            for number in range(USERS):
                project = f"project-{number}"
                records.create_project(project, pipeline="p", pipeline_digest="d", env={}, created_by="bench")
                records.add_input(project, "survey", manifest, original_path=name, added_by="bench")
    records.close()


def took_s(act: Callable[[], object]) -> float:
    """The median of some rounds."""
    found = []
    for _ in range(ROUNDS):
        begun_s = time.perf_counter()
        act()
        found.append(time.perf_counter() - begun_s)
    return median(found)


def goal(name: str, value_s: float, most_s: float, note: str) -> Figure:
    """A figure that is to be at most so much."""
    return Figure(name, value_s, "s", f"<= {most_s:g}", value_s <= most_s, note)
