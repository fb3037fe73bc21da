"""Projects become partitions, their files events, and their results one table: on every kind of database."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AddDynamicPartitionsRequest,
    AssetMaterialization,
    DagsterInstance,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from hypothesis import given
from hypothesis import strategies as st
from places import add_project, add_success, add_video

from winslow_dagster.assets import sensors
from winslow_dagster.assets.graph import RESULTS, input_key
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.new_inputs import Mark, new_inputs, projects_by_pipeline
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.status.results_csv import HEADINGS, newest_success, write_results

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def records(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectRecords]:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_DATABASE_URL", database_url)
    opened = ProjectRecords.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as there:
        yield there


def ticked(instance: DagsterInstance, function: object, cursor: str | None = None) -> SensorResult | SkipReason:
    """One tick, with what the daemon does of its result."""
    with build_sensor_context(instance=instance, cursor=cursor) as context:
        result: SensorResult | SkipReason = function(context)  # type: ignore[operator]
    if isinstance(result, SensorResult):
        for event in result.asset_events:
            instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests or ():
            if isinstance(request, AddDynamicPartitionsRequest):
                instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
            else:
                for key in request.partition_keys:
                    instance.delete_dynamic_partition(request.partitions_def_name, key)
    return result


def names(records: ProjectRecords, after: Mark | None, most: int = 100) -> list[tuple[str, int]]:
    return [(each.added.project, each.added.version) for each in new_inputs(records.database, after, LATER, most)]


def test_arrivals_come_in_order_and_go_on_behind_a_mark(records: ProjectRecords) -> None:
    for project in ("b", "a"):
        add_project(records, project)
        add_video(records, project)
    add_video(records, "b", "other")
    found = new_inputs(records.database, None, LATER, 100)
    assert [(each.added.project, each.added.version) for each in found] == [("b", 1), ("a", 1), ("b", 2)]
    marks = [Mark.of(each.added) for each in found]
    assert [names(records, mark) for mark in marks] == [[("a", 1), ("b", 2)], [("b", 2)], []]
    assert names(records, None, most=1) == [("b", 1)]
    assert found[0].pipeline == "two"


def test_what_has_just_arrived_is_left_for_later(records: ProjectRecords) -> None:
    add_project(records, "a")
    add_video(records, "a")
    assert new_inputs(records.database, None, datetime.now(UTC) - timedelta(minutes=1), 100) == ()


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1))
def test_a_mark_is_read_back_from_its_text(added_at: datetime, version: int) -> None:
    mark = Mark(added_at, "ulm-07", "video", version)
    assert Mark.parse(str(mark)) == mark


def test_a_project_becomes_a_partition_and_its_files_events_once(
    records: ProjectRecords, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SETTLED_AFTER", timedelta(seconds=-1))
    for project in ("ulm", "bonn"):
        add_project(records, project)
    add_video(records, "ulm")
    result = ticked(instance, sensors.sync_partitions)
    assert isinstance(result, SensorResult)
    assert set(instance.get_dynamic_partitions("two_projects")) == {"ulm", "bonn"}
    (record,) = instance.fetch_materializations(input_key("two", "video"), limit=10).records
    assert record.partition_key == "ulm"
    event = record.asset_materialization
    assert event is not None
    assert (event.metadata["size_bytes"].value, event.metadata["blake3"].value) == (7, "c")
    assert event.metadata["original_path"].value == "/flights/ulm.mp4"
    assert event.metadata["console"].value == "/projects/ulm"
    assert isinstance(ticked(instance, sensors.sync_partitions, result.cursor), SkipReason)
    add_video(records, "ulm", "other")
    result = ticked(instance, sensors.sync_partitions, result.cursor)
    assert isinstance(result, SensorResult)
    assert [event.metadata["version"].value for event in result.asset_events if event.metadata] == [2]


def test_a_project_is_a_partition_of_the_pipelines_that_it_uses_or_has_run_and_of_no_other(
    records: ProjectRecords, instance: DagsterInstance
) -> None:
    add_project(records, "ulm")
    add_project(records, "bonn")
    run = RunRecord("run1", "bonn", "fork", "d" * 64, datetime.now(UTC), "anna")
    records.record_run(run)
    assert projects_by_pipeline(records.database) == {"two": {"ulm", "bonn"}, "fork": {"bonn"}}
    ticked(instance, sensors.sync_partitions)
    assert set(instance.get_dynamic_partitions("two_projects")) == {"ulm", "bonn"}
    assert set(instance.get_dynamic_partitions("fork_projects")) == {"bonn"}


def test_the_partition_of_a_deleted_project_is_gone_until_it_is_restored(
    records: ProjectRecords, instance: DagsterInstance
) -> None:
    for project in ("ulm", "bonn"):
        add_project(records, project)
    records.record_run(RunRecord("run1", "bonn", "fork", "d" * 64, datetime.now(UTC), "anna"))
    records.record_run_end("run1", "succeeded", "", datetime.now(UTC))
    deletions = Deletions(records.database)
    ticked(instance, sensors.sync_partitions)
    deletions.delete("bonn", by="anna", reason="", at=datetime.now(UTC))
    ticked(instance, sensors.sync_partitions)
    assert set(instance.get_dynamic_partitions("two_projects")) == {"ulm"}
    deletions.restore("bonn")
    ticked(instance, sensors.sync_partitions)
    assert set(instance.get_dynamic_partitions("two_projects")) == {"ulm", "bonn"}
    assert set(instance.get_dynamic_partitions("fork_projects")) == {"bonn"}


def test_many_inputs_are_reported_in_batches(
    records: ProjectRecords, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SETTLED_AFTER", timedelta(seconds=-1))
    monkeypatch.setattr(sensors, "MAX_INPUTS", 2)
    for number in range(5):
        add_project(records, f"p{number}")
        add_video(records, f"p{number}")
    cursor, reported = None, []
    while isinstance(result := ticked(instance, sensors.sync_partitions, cursor), SensorResult):
        cursor = result.cursor
        reported.append(len(result.asset_events))
    assert reported == [2, 2, 1]


def test_the_table_has_the_latest_success_of_each_stage(records: ProjectRecords, tmp_path: Path) -> None:
    for project in ("ulm", "bonn"):
        add_project(records, project)
    add_success(records, "ulm", "old", {"vehicles": "1", "gone": "x"}, minute=1)
    newest = add_success(records, "ulm", "new", {"vehicles": "2", 'a "b", c': "line\nbreak"}, minute=2)
    add_success(records, "bonn", "b", {"vehicles": "9"})
    table = write_results(records.database, tmp_path / "results.csv")
    with table.path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADINGS
    assert [(row[0], row[2], row[3], row[5], row[6]) for row in rows[1:]] == [
        ("bonn", "second", "b.second.1", "vehicles", "9"),
        ("ulm", "second", newest, 'a "b", c', "line\nbreak"),
        ("ulm", "second", newest, "vehicles", "2"),
    ]
    assert (table.rows, table.projects, table.size_bytes) == (3, 2, table.path.stat().st_size)
    assert [path.name for path in tmp_path.glob("*results.csv*")] == ["results.csv"]


def test_the_table_is_written_only_after_another_success(records: ProjectRecords, instance: DagsterInstance) -> None:
    assert isinstance(ticked(instance, sensors.export_results), SkipReason)
    add_project(records, "ulm")
    add_success(records, "ulm", "one", {"vehicles": "1|2"})
    result = ticked(instance, sensors.export_results)
    assert isinstance(result, SensorResult)
    (event,) = result.asset_events
    assert isinstance(event, AssetMaterialization)
    assert event.asset_key == RESULTS
    assert "1\\|2" in str(event.metadata["preview"].value)
    assert result.cursor == str(newest_success(records.database).isoformat())  # type: ignore[union-attr]
    assert isinstance(ticked(instance, sensors.export_results, result.cursor), SkipReason)
    add_success(records, "ulm", "two", {"vehicles": "3"}, minute=5)
    assert isinstance(ticked(instance, sensors.export_results, result.cursor), SensorResult)
