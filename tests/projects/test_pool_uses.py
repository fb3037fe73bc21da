"""Who has a file of the pool: projects, and the attempts that read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from house import House

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.pool import PoolEntry, effect_of
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
    uses = Pool(house.records.database, house.store).rows.uses(old)
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
