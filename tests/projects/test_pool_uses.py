"""Who has a file of the pool: projects, and the attempts that read it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from house import House

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.pool import PoolEntry, effect_of
from winslow_dagster.projects.domain.upload import Upload
from winslow_dagster.projects.inputs.pool_directory import PoolFolder
from winslow_dagster.projects.inputs.resource_pool import Pool
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.storage.manifest import Manifest

ULM, OTHER = "ulm-07", "ulm-08"


@pytest.fixture
def front(house: House) -> Installation:
    services = Services(house.settings)
    return Installation(
        house.settings, services, Actor("anna"), records=house.records, store=house.store, engine=InMemoryEngine()
    )


def film(house: House, content: str) -> Path:
    path = house.settings.home / "film.mp4"
    path.write_text(content)
    return path


def read_by(house: House, run: int, manifest: Manifest) -> None:
    """An attempt of the project that has the file among its inputs."""
    task = house.task(run, ULM).model_copy(update={"resources": {"video": manifest}})
    house.records.attempt_started(task, pipeline_digest=house.digest)


def test_the_attempts_that_read_a_file_are_counted_among_all_of_their_stage(house: House, front: Installation) -> None:
    old = front.pool.add(film(house, "old"), "film")
    house.run(1)
    house.records.add_input(ULM, "video", old.manifest, original_path="pool:film", added_by="anna")
    house.records.add_input(OTHER, "video", old.manifest, original_path="pool:film", added_by="ben")
    read_by(house, 2, old.manifest)
    front.pool.replace("film", film(house, "newer"))
    new = front.pool.files.file("film")
    house.records.add_input(ULM, "video", new.manifest, original_path="pool:film", added_by="anna")
    read_by(house, 3, new.manifest)

    details = front.pool.details("film")
    assert details.file.used_by == (ULM,)
    (use,) = details.uses
    assert (use.project, use.input, use.current) == (ULM, "video", True)
    assert [(each.stage, each.number, each.task_id) for each in use.readers] == [("detect", 3, "run3.detect.1")]
    (earlier,) = details.earlier
    assert (earlier.id, earlier.used_by) == (old.id, (ULM, OTHER))
    uses = Pool(house.records.database, house.store).rows.uses(old.id)
    assert [(each.project, each.current, [one.number for one in each.readers]) for each in uses] == [
        (ULM, False, [2]),
        (OTHER, True, []),
    ]


def test_what_an_act_means_is_said_with_the_projects_that_have_the_file(house: House, front: Installation) -> None:
    front.pool.add(film(house, "old"), "film")
    assert front.pool.effect("remove", "film").text == (
        "No project uses it. It can be restored for 30 days; then its content (3 B) is removed."
    )
    file = front.pool.files.file("film")
    for project in (ULM, OTHER):
        house.records.add_input(project, "video", file.manifest, original_path="pool:film", added_by="anna")
    effect = front.pool.effect("remove", "film")
    assert effect.used_by == (ULM, OTHER)
    assert effect.text.startswith("ulm-07 and ulm-08 keep it, and can run again with it")
    assert "nothing of theirs is out of date" in front.pool.effect("rename", "film").text
    assert "all outputs are then made anew" in front.pool.effect("replace", "film").text
    names = tuple(f"p{number}" for number in range(7))
    many = PoolEntry(**{**front.pool.details("film").file.model_dump(), "used_by": names})
    assert effect_of("remove", many, 30.0).text.startswith("p0, p1, p2, p3, p4 and 2 more projects keep it")


def send(front: Installation, file_name: str, content: bytes, replaces: str | None = None) -> Upload:
    """All of a file, which is not in the pool yet."""
    upload = front.uploads.begin(file_name, len(content), replaces=replaces)
    with front.uploads.receive(upload.id, 0) as receiver:
        receiver.append(content)
    return upload


def test_a_file_that_is_sent_takes_the_place_of_another_and_keeps_its_users(house: House, front: Installation) -> None:
    old = front.pool.add(film(house, "old"), "film")
    house.records.add_input(ULM, "video", old.manifest, original_path="pool:film", added_by="anna")
    upload = send(front, "better.mp4", b"better", replaces="film")
    assert front.pool.files.file("film").id == old.id, "until all of it is there"
    assert front.uploads.store(upload.id).message.startswith("It has taken the place of the earlier file.")
    assert (front.pool.details("film").file.id, front.pool.names()) == (upload.id, ("film",))
    (earlier,) = front.pool.details("film").earlier
    assert (earlier.id, earlier.used_by, earlier.replaced_by) == (old.id, (ULM,), upload.id)
    with pytest.raises(NotFound, match="Did you mean film"):
        front.uploads.begin("more.mp4", 4, replaces="films")


def test_of_two_who_replace_the_same_file_the_second_loses_nothing(house: House, front: Installation) -> None:
    old = front.pool.add(film(house, "old"), "film")
    ben = front.acting_as(Actor("ben"))
    annas, bens = send(front, "annas.mp4", b"anna", "film"), send(ben, "bens.mp4", b"ben", "film")
    front.pool.rename("film", "the-film")
    ben.uploads.store(bens.id)
    assert front.pool.files.file("the-film").id == bens.id
    assert "removed or replaced meanwhile" in front.uploads.store(annas.id).message
    assert front.pool.files.file("annas.mp4").id == annas.id
    front.pool.restore(old.id)
    assert front.pool.files.file("the-film").id == old.id


def test_a_replacement_that_a_crash_interrupted_is_completed(house: House, front: Installation) -> None:
    front.pool.add(film(house, "old"), "film")
    upload = send(front, "better.mp4", b"better", replaces="film")
    received = house.settings.home / "uploads" / upload.id / "content"
    front.pool.files.take(received, name=upload.name, key=upload.id, by="anna")
    front.uploads.tidy()
    assert front.pool.files.file("film").id == upload.id
    upload = send(front, "best.mp4", b"best", replaces="film")
    front.pool.files.take(received.parents[1] / upload.id / "content", name=upload.name, key=upload.id, by="anna")
    front.pool.replace("film", f"pool:{upload.name}")
    front.uploads.tidy()
    assert front.uploads.upload(upload.id).message.startswith("It has taken the place")


def test_who_removes_a_file_comes_before_or_after_who_takes_it(house: House, front: Installation) -> None:
    old = front.pool.add(film(house, "old"), "film")
    house.run(1)
    taken = front.pool.files.file("film")
    front.acting_as(Actor("ben")).pool.remove("film")
    with pytest.raises(NotFound, match="'film' was removed from the pool meanwhile"):
        house.records.add_input(ULM, "video", taken.manifest, original_path="pool:film", added_by="anna")
    front.pool.restore(old.id)
    house.records.add_input(ULM, "video", taken.manifest, original_path="pool:film", added_by="anna")
    front.acting_as(Actor("ben")).pool.remove("film")
    with pytest.raises(ProjectConflict, match=f"it is an input of {ULM}"):
        front.pool.purge(old.id)


def test_finding_one_file_does_not_read_what_is_in_the_others(house: House, front: Installation) -> None:
    """A list of 100,000 files is a text of many megabytes."""
    front.pool.add(film(house, "old"), "film")
    house.run(1)
    with house.records.database.writing() as connection:
        listed = {"file_name": "many", "size_bytes": 1, "files": 100_000, "original_path": "", "added_by": "anna"}
        unreadable = {"id": "many", "name": "many", "manifest": {"address": "pool/many/many", "files": "unreadable"}}
        connection.execute(schema.pool.insert().values({**listed, **unreadable, "added_at": datetime.now(UTC)}))
    assert [each.name for each in front.pool.find().files] == ["film", "many"]
    assert front.pool.details("many").file.files == 100_000
    assert front.footage_checks.waiting() == (front.pool.details("film").file,)
    assert "No project uses it" in front.pool.effect("remove", "many").text
    assert front.pool.restore(front.pool.remove("many").id).id == "many"


def test_a_directory_is_looked_into_folder_by_folder_and_file_by_file(house: House, front: Installation) -> None:
    contents = {
        "a/b/c.txt": "1",
        "a/d.txt": "22",
        "a-b.txt": "333",
        "a.txt": "4444",
        "ä/Straße.txt": "55555",
        "a0": "6",
    }
    source = house.settings.home / "survey"
    for path, content in contents.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(content)
    front.pool.add(source)
    whole = front.pool.folder("survey")
    assert whole.folders == (("a", 3), ("ä", 5))
    assert whole.files == (("a-b.txt", 3), ("a.txt", 4), ("a0", 1))
    assert front.pool.folder("survey", "a") == PoolFolder("a", (("b", 1),), (("d.txt", 2),), 0)
    assert front.pool.folder("survey", "ä").files == (("Straße.txt", 5),)
    assert front.pool.folder("survey", "none") == PoolFolder("none", (), (), 0)
    for path, content in contents.items():
        with front.pool.open_file(front.pool.stored_file("survey", path)) as file:
            assert file.read() == content.encode()
    for path, what in (("", "a directory with 6 files"), ("a", "no 'a' in it"), ("z", "no 'z' in it")):
        with pytest.raises(NotFound, match=what):
            front.pool.stored_file("survey", path)
    front.pool.add(film(house, "film"), "survey-2")
    front.pool.replace("survey", "pool:survey-2")
    assert front.pool.stored_file("survey").path == "film.mp4"
