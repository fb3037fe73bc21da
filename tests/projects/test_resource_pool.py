"""The shared pool: stored once, taken by many projects, removed when nobody has it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.inputs.resource_pool import Pool, PooledFile, sources
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def pool(records: ProjectRecords, store: Store) -> Pool:
    return Pool(records.database, store)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "ulm.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_what_was_added_is_found_by_its_name(pool: Pool, film: Path) -> None:
    added = pool.add(film, "ulm", "anna")
    assert pool.file("ulm") == added
    assert (added.file_name, added.added_by, added.original_path) == ("ulm.csv", "anna", str(film))
    assert [each.name for each in pool.files()] == ["ulm"]
    with pytest.raises(NotFound, match=r"no 'ulmm' in the pool.*Did you mean ulm\?"):
        pool.file("ulmm")


def test_a_name_is_taken_once_and_a_missing_file_is_refused(pool: Pool, film: Path) -> None:
    pool.add(film, "ulm", "anna")
    with pytest.raises(ProjectConflict, match="has a file 'ulm' already"):
        pool.add(film, "ulm", "ben")
    with pytest.raises(InputRejected, match="no such file"):
        pool.add(film.parent / "none.csv", "none", "anna")
    with pytest.raises(InputRejected, match="'no/name' is not a valid pool name"):
        pool.add(film, "no/name", "anna")


def test_a_file_of_the_pool_is_checked_as_any_input(pool: Pool, film: Path, tmp_path: Path) -> None:
    added = pool.add(film, "ulm", "anna")
    pool.check(added, "numbers", ProjectInput(kind="table", suffixes=(".csv",)))
    with pytest.raises(InputRejected, match=r"its name ends in \.csv"):
        pool.check(added, "video", ProjectInput(kind="video", suffixes=(".mp4",)))
    with pytest.raises(InputRejected, match="does not start like a video"):
        pool.check(added, "video", ProjectInput(kind="video"))
    (tmp_path / "frames").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "frames" / name).write_text(name)
    frames = pool.add(tmp_path / "frames", "frames", "anna")
    pool.check(frames, "frames", ProjectInput(kind="directory"))
    with pytest.raises(InputRejected, match="it is a directory"):
        pool.check(frames, "video", ProjectInput(kind="video"))


def test_what_a_project_has_stays_and_the_rest_can_be_removed(
    pool: Pool, film: Path, records: ProjectRecords, store: Store
) -> None:
    added = pool.add(film, "ulm", "anna")
    records.create_project("east", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    records.add_input("east", "numbers", added.manifest, original_path="pool:ulm", added_by="anna")
    with pytest.raises(ProjectConflict, match="it is an input of east"):
        pool.remove("ulm")
    free = pool.add(film, "free", "anna")
    assert pool.remove("free") == free.manifest.size_bytes
    assert [each.name for each in pool.files()] == ["ulm"]
    assert store.read_range(added.manifest, added.manifest.files[0], 0, 3) == b"a,b"


def test_inputs_are_paths_or_names_of_the_pool(pool: Pool, film: Path) -> None:
    added = pool.add(film, "ulm", "anna")
    found = sources(pool, {"numbers": "pool:ulm", "other": "~/x.csv"})
    assert found == {"numbers": added, "other": Path.home() / "x.csv"}
    assert isinstance(found["numbers"], PooledFile)


def test_a_file_that_was_removed_meanwhile_is_not_taken(pool: Pool, film: Path, records: ProjectRecords) -> None:
    records.create_project("east", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    seen = pool.add(film, "ulm", "anna")
    pool.remove("ulm")
    pool.add(film, "ulm", "ben")
    with pytest.raises(NotFound, match="'ulm' was removed from the pool meanwhile"):
        take(records, "east", seen)
    assert records.inputs("east") == ()


def test_removing_a_file_in_the_moment_a_project_takes_it_never_loses_the_input(
    pool: Pool, film: Path, records: ProjectRecords, store: Store
) -> None:
    def attempt(act: Callable[[], object]) -> None:
        together.wait()
        with contextlib.suppress(NotFound, ProjectConflict):
            act()

    together = Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        for number in range(20):
            project = f"project-{number}"
            records.create_project(project, pipeline="p", pipeline_digest="d", env={}, created_by="anna")
            file = pool.add(film, project, "anna")
            acts = (partial(take, records, project, file), partial(pool.remove, project))
            list(threads.map(attempt, acts))
            for taken in records.inputs(project):
                assert store.read_range(taken.manifest, taken.manifest.files[0], 0, 3) == b"a,b"
            assert bool(records.inputs(project)) == any(each.name == project for each in pool.files())


def take(records: ProjectRecords, project: str, file: PooledFile) -> None:
    records.add_input(project, "numbers", file.manifest, original_path=f"pool:{file.name}", added_by="ben")
