"""What takes space, as the tables say it: the same as adding up every file."""

from __future__ import annotations

from datetime import UTC, datetime

from house import House

from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.space_usage import SpaceUsage
from winslow_dagster.projects.domain.space import Space
from winslow_dagster.projects.retention.pins import Pins

ULM, OTHER = "ulm-07", "ulm-08"


def space(house: House) -> Space:
    return SpaceUsage(house.records.database).space(datetime.now(UTC), 10)


def agrees(house: House) -> bool:
    """Whether every project has as much as measuring it says."""
    usage = house.cleanup.usage()
    measured = {
        project: (
            sum(each.outputs_bytes for each in usage.stages if each.project == project),
            sum(each.logs_bytes for each in usage.stages if each.project == project),
            usage.inputs_bytes.get(project, 0),
        )
        for project in (ULM, OTHER)
    }
    told = {each.project: (each.outputs_bytes, each.logs_bytes, each.inputs_bytes) for each in space(house).projects}
    return told == measured


def test_the_tables_know_what_is_stored_before_and_after_rules_remove_some_of_it(house: House) -> None:
    first = house.run(1)
    house.run(2, succeeds=False)
    house.run(3)
    house.reuse(4, first.task_id, OTHER)
    film = house.settings.home / "film.mp4"
    film.write_bytes(b"f" * 1000)
    stored = house.store.put_file(film, f"projects/{ULM}/inputs/video/1")
    house.records.add_input(ULM, "video", stored, original_path=str(film), added_by="anna")
    assert agrees(house)
    house.cleanup.carry_out(house.cleanup.plan())
    assert agrees(house)
    found = space(house)
    assert [(each.project, each.owner) for each in found.projects] == [(ULM, "anna"), (OTHER, "anna")]
    assert [(each.owner, each.projects) for each in found.owners] == [("anna", 2)]
    assert sum(each.size_bytes for each in found.stages) == sum(each.size_bytes for each in found.ages)
    assert {each.from_days: each.attempts for each in found.ages} == {0: 0, 7: 4, 30: 0, 90: 0, 365: 0}


def test_a_deleted_project_counts_as_trash_and_a_pinned_attempt_is_listed(house: House) -> None:
    kept, other = house.run(1), house.run(2)
    Pins(house.records.database).pin(kept.task_id, "anna", "for the paper")
    before = space(house)
    assert [(each.task_id, each.reason) for each in before.pins] == [(kept.task_id, "for the paper")]
    assert before.pins[0].size_bytes * 2 == before.size_bytes, other.task_id
    Deletions(house.records.database).delete(ULM, by="anna", reason="", at=datetime.now(UTC))
    after = space(house)
    assert {each.kind: each.size_bytes for each in after.kinds if each.size_bytes} == {"trash": before.size_bytes}
    assert ([each.project for each in after.projects], after.pins) == ([OTHER], ())


def test_what_was_measured_is_shown_until_it_is_measured_again(house: House) -> None:
    usage, at = SpaceUsage(house.records.database), datetime(2026, 5, 1, tzinfo=UTC)
    usage.note({"cache": 10, "footage": 20}, at)
    usage.note({"cache": 30}, at)
    found = {each.kind: each.size_bytes for each in space(house).kinds if each.measured_at == at}
    assert found == {"cache": 30, "footage": 20}
