"""The shared pool: stored once, taken by many projects, removed when nobody has it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from winslow_dagster.errors import InputRejected, NotFound, NotStorable, ProjectConflict
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.uploads import Uploads
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.projects.domain.upload import Upload
from winslow_dagster.projects.inputs.resource_pool import Pool, sources
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.store import Store

NOW = datetime(2026, 5, 1, tzinfo=UTC)


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


def stored_files(folder: Path) -> set[Path]:
    return {path for path in (folder / "store").rglob("*") if path.is_file()}


def empty(folder: Path) -> None:
    (folder / "inner").mkdir(parents=True)


def with_a_pipe(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "pipe")


def with_a_link_to_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "link").symlink_to("/nowhere")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, r"odd: the directory contains no files"),
        (with_a_pipe, r"odd/pipe: this is a pipe; expected files and directories\. Delete it, or keep it outside of"),
        (
            with_a_link_to_nothing,
            r"odd/link: the symbolic link points to /nowhere, which does not exist\. Put the file",
        ),
        (os.mkfifo, r"odd: this is a pipe; expected a file"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
    pool: Pool, film: Path, make: Callable[[Path], None], message: str
) -> None:
    odd = film.with_name("odd")
    make(odd)
    kept, before = pool.add(film, "kept", "anna"), stored_files(film.parent)
    with pytest.raises((InputRejected, NotStorable), match=message):
        pool.add(odd, "odd", "anna")
    with pytest.raises((InputRejected, NotStorable), match=message):
        pool.replace("kept", odd, "anna", NOW)
    assert pool.files() == (kept,)
    assert stored_files(film.parent) == before


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
    with pytest.raises(InputRejected, match=r"pool:frames/1\.png: it does not start like a video"):
        pool.check(frames, "video", ProjectInput(kind="video", parts=True))
    with pytest.raises(InputRejected, match="no file in it can be a part"):
        pool.check(frames, "video", ProjectInput(kind="video", suffixes=(".mp4",), parts=True))
    pool.check(frames, "pictures", ProjectInput(kind="file", suffixes=(".png",), parts=True))


def remove(pool: Pool, name: str) -> str:
    return pool.rows.remove(name, by="ben", at=NOW)


def test_a_deleted_file_goes_once_no_project_has_it(
    pool: Pool, film: Path, records: ProjectRecords, store: Store
) -> None:
    used, free = pool.add(film, "ulm", "anna"), pool.add(film, "free", "anna")
    records.create_project("east", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    take(records, "east", used)
    assert {each.name: each.used_by for each in pool.rows.entries()} == {"free": (), "ulm": ("east",)}
    for name in ("ulm", "free"):
        remove(pool, name)
    assert pool.files() == ()
    assert pool.purge(free.id, NOW, deleted_before=NOW) is None, "it was not deleted before that"
    later = NOW + timedelta(days=31)
    assert pool.purge(free.id, later, deleted_before=later) == free.manifest.size_bytes
    assert pool.purge(used.id, later, deleted_before=later) is None
    assert [each["name"] for each in pool.rows.deleted()] == ["ulm"]
    assert store.read_range(used.manifest, used.manifest.files[0], 0, 3) == b"a,b"


def test_a_deleted_file_is_restored_under_its_name_or_another_one(pool: Pool, film: Path) -> None:
    first = pool.add(film, "ulm", "anna")
    remove(pool, "ulm")
    second = pool.add(film, "ulm", "ben")
    with pytest.raises(ProjectConflict, match="has a file 'ulm' already"):
        pool.rows.restore(first.id, None, by="anna", at=NOW)
    assert pool.rows.restore(first.id, "first", by="anna", at=NOW) == "first"
    assert pool.rows.restore(first.id, None, by="anna", at=NOW) == "first", "it is not deleted"
    assert (pool.file("first").manifest, pool.file("ulm").manifest) == (first.manifest, second.manifest)
    with pytest.raises(NotFound, match="no deleted file 'nothing'"):
        pool.rows.restore("nothing", None, by="anna", at=NOW)


def test_a_file_that_is_being_removed_for_good_is_not_restored_and_the_removal_ends_later(
    pool: Pool, film: Path
) -> None:
    file = pool.add(film, "ulm", "anna")
    remove(pool, "ulm")
    assert pool.rows.begin_purge(file.id, NOW)
    with pytest.raises(ProjectConflict, match="its content is being removed"):
        pool.rows.restore(file.id, None, by="anna", at=NOW)
    assert pool.purge(file.id, NOW) == file.manifest.size_bytes
    assert pool.rows.deleted() == ()


def test_a_renamed_file_is_the_same_file_and_can_be_taken(pool: Pool, film: Path, records: ProjectRecords) -> None:
    added = pool.add(film, "ulm", "anna")
    pool.add(film, "bonn", "anna")
    with pytest.raises(ProjectConflict, match="has a file 'bonn' already"):
        pool.rows.rename("ulm", "bonn")
    pool.rows.rename("ulm", "neu-ulm")
    with pytest.raises(NotFound, match="no 'ulm' in the pool"):
        pool.file("ulm")
    records.create_project("east", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    take(records, "east", pool.file("neu-ulm"))
    assert pool.add(film, "ulm", "ben").manifest.address != added.manifest.address
    assert {each.name: each.used_by for each in pool.rows.entries()}["neu-ulm"] == ("east",)


def test_the_name_of_a_file_that_is_on_its_way_is_not_given_to_another(
    pool: Pool, film: Path, records: ProjectRecords
) -> None:
    upload = Upload(
        id="1",
        name="soon",
        file_name="soon.mp4",
        size_bytes=9,
        received_bytes=0,
        fingerprint="",
        owner="carla",
        begun_at=NOW,
    )
    Uploads(records.database).begin(upload)
    pool.add(film, "ulm", "anna")
    with pytest.raises(ProjectConflict, match="carla is sending a file 'soon'"):
        pool.rows.rename("ulm", "soon")


def test_a_replaced_file_stays_with_its_projects_and_both_change_places_again(
    pool: Pool, film: Path, records: ProjectRecords, store: Store
) -> None:
    old = pool.add(film, "ulm", "anna")
    records.create_project("east", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    take(records, "east", old)
    film.write_text("c,d\n")
    assert pool.replace("ulm", film, "ben", NOW) == old.id
    new = pool.file("ulm")
    assert store.read_range(new.manifest, new.manifest.files[0], 0, 3) == b"c,d"
    assert records.inputs("east")[0].manifest == old.manifest
    assert store.read_range(old.manifest, old.manifest.files[0], 0, 3) == b"a,b"
    assert pool.rows.uses(new.id) == ()
    pool.rows.restore(old.id, None, by="anna", at=NOW)
    assert pool.file("ulm").manifest == old.manifest
    assert [each["id"] for each in pool.rows.deleted()] == [new.id]
    with pytest.raises(NotFound, match="no 'nothing' in the pool"):
        pool.replace("nothing", film, "ben", NOW)


def test_a_file_of_the_pool_takes_the_place_of_another(pool: Pool, film: Path) -> None:
    pool.add(film, "ulm", "anna")
    other = pool.add(film, "ulm-2", "anna")
    pool.rows.replace_by("ulm", "ulm-2", by="ben", at=NOW)
    assert [(each.name, each.manifest) for each in pool.files()] == [("ulm", other.manifest)]
    with pytest.raises(ProjectConflict, match="cannot replace itself"):
        pool.rows.replace_by("ulm", "ulm", by="ben", at=NOW)


def test_inputs_are_paths_or_names_of_the_pool(pool: Pool, film: Path) -> None:
    added = pool.add(film, "ulm", "anna")
    found = sources(pool, {"numbers": "pool:ulm", "other": "~/x.csv"})
    assert found == {"numbers": added, "other": Path.home() / "x.csv"}
    assert isinstance(found["numbers"], PooledFile)


def test_a_file_that_was_removed_meanwhile_is_not_taken(pool: Pool, film: Path, records: ProjectRecords) -> None:
    records.create_project("east", pipeline="p", pipeline_digest="d", env={}, created_by="anna")
    seen = pool.add(film, "ulm", "anna")
    remove(pool, "ulm")
    pool.add(film, "ulm", "ben")
    with pytest.raises(NotFound, match="'ulm' was removed from the pool meanwhile"):
        take(records, "east", seen)
    assert records.inputs("east") == ()


def test_deleting_a_file_for_good_in_the_moment_a_project_takes_it_never_loses_the_input(
    pool: Pool, film: Path, records: ProjectRecords, store: Store
) -> None:
    def attempt(act: Callable[[], object]) -> None:
        together.wait()
        with contextlib.suppress(NotFound, ProjectConflict):
            act()

    def delete(name: str, file_id: str) -> None:
        remove(pool, name)
        pool.purge(file_id, NOW)

    together = Barrier(3)
    with ThreadPoolExecutor(3) as threads:
        for number in range(20):
            project = f"project-{number}"
            records.create_project(project, pipeline="p", pipeline_digest="d", env={}, created_by="anna")
            file = pool.add(film, project, "anna")
            acts = (
                partial(take, records, project, file),
                partial(delete, project, file.id),
                partial(pool.rows.restore, file.id, None, by="carla", at=NOW),
            )
            list(threads.map(attempt, acts))
            for taken in records.inputs(project):
                assert store.read_range(taken.manifest, taken.manifest.files[0], 0, 3) == b"a,b"
            gone = pool.rows.with_id(file.id) is None
            assert not (gone and records.inputs(project))


def take(records: ProjectRecords, project: str, file: PooledFile) -> None:
    records.add_input(project, "numbers", file.manifest, original_path=f"pool:{file.name}", added_by="ben")
