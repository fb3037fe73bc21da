"""Old runs are deleted; what a project's history or a re-execution needs stays. On a real Dagster instance."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    DagsterInstance,
    ReexecutionOptions,
    build_sensor_context,
    execute_job,
    in_process_executor,
    job,
    op,
    reconstructable,
)

from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.change_feed import ChangeFeed
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.inputs.resource_pool import Pool
from winslow_dagster.sensors.orphans import delete_abandoned_uploads
from winslow_dagster.sensors.retention import needed_runs, prune_runs, retention_sensor
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

NONE: frozenset[str] = frozenset()
LATER = timedelta(days=400)


@op
def make() -> int:
    return 1


@op
def use(number: int) -> int:
    return number + 1


@job(executor_def=in_process_executor)
def two() -> None:
    use(make())


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides={"telemetry": {"enabled": False}}) as made:
        yield made


def run(instance: DagsterInstance, parent: str | None = None) -> str:
    """The whole job, or its second step again."""
    options = None if parent is None else ReexecutionOptions(parent_run_id=parent, step_selection=["use"])
    with execute_job(reconstructable(two), instance, reexecution_options=options) as result:
        assert result.success
        ran = [event.step_key for event in result.get_step_success_events()]
        assert ran == (["make", "use"] if parent is None else ["use"])
        return result.run_id


def runs(instance: DagsterInstance) -> set[str]:
    return {each.run_id for each in instance.get_runs()}


def test_what_is_kept_can_be_executed_again_from_a_step_after_the_others_are_gone(instance: DagsterInstance) -> None:
    old, kept = run(instance), run(instance)
    future = datetime.now(UTC) + LATER
    assert prune_runs(instance, frozenset({kept}), future) == (old,)
    assert runs(instance) == {kept}
    assert instance.all_logs(old) == []
    again = run(instance, parent=kept)
    assert runs(instance) == {kept, again}


def test_a_family_of_re_executions_stays_together_while_one_of_them_is_needed(instance: DagsterInstance) -> None:
    first = run(instance)
    second = run(instance, parent=first)
    third = run(instance, parent=second)
    alone = run(instance)
    future = datetime.now(UTC) + LATER
    assert prune_runs(instance, frozenset({third}), future) == (alone,)
    assert runs(instance) == {first, second, third}
    run(instance, parent=third)
    assert len(prune_runs(instance, NONE, future)) == 4
    assert runs(instance) == set()


def test_a_run_that_is_young_or_has_not_ended_stays(instance: DagsterInstance) -> None:
    ended = run(instance)
    going_on = instance.create_run_for_job(two).run_id
    assert prune_runs(instance, NONE, datetime.now(UTC) - timedelta(days=1)) == ()
    assert prune_runs(instance, NONE, datetime.now(UTC) + LATER) == (ended,)
    assert runs(instance) == {going_on}


def test_more_runs_than_a_page_are_all_considered(instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winslow_dagster.sensors.retention.PAGE", 2)
    ids = [run(instance) for _ in range(7)]
    needed = frozenset({ids[0], ids[3], ids[6]})
    assert set(prune_runs(instance, needed, datetime.now(UTC) + LATER)) == set(ids) - needed
    assert runs(instance) == needed


def test_it_stops_on_request_and_continues_the_next_time(instance: DagsterInstance) -> None:
    ids = {run(instance) for _ in range(3)}
    future = datetime.now(UTC) + LATER
    answers = iter([False, True])
    first = prune_runs(instance, NONE, future, lambda: next(answers))
    assert len(first) == 1
    assert {*first, *prune_runs(instance, NONE, future)} == ids


def test_the_sensor_works_once_a_day_and_keeps_the_latest_run_of_a_project(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_RUN_RETENTION_DAYS", "0")
    settings = Settings.read()
    (settings.home).mkdir()
    records = ProjectRecords.open(settings.database_url)
    records.create_project("ulm-07", pipeline="two", pipeline_digest="d", env={}, created_by="anna")
    stranger, first, latest = run(instance), run(instance), run(instance)
    for number, run_id in enumerate((first, latest)):
        at = datetime.now(UTC) + timedelta(seconds=number)
        records.record_run(RunRecord(run_id, "ulm-07", "two", "d", at, "anna"))
        records.record_run_end(run_id, "succeeded", "", at)
    assert needed_runs(records, settings) == {latest}
    context = build_sensor_context(instance)
    report = retention_sensor(context)
    assert "deleted 2 runs from Dagster" in str(report)
    assert runs(instance) == {latest}
    assert stranger not in runs(instance)
    assert [each.run_id for each in records.runs("ulm-07")] == [latest, first]
    assert "done for today" in str(retention_sensor(build_sensor_context(instance, cursor=context.cursor)))
    records.close()


def test_the_sensor_removes_a_project_that_was_deleted_long_ago_with_its_runs_and_keeps_one_deleted_lately(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_TRASH_DAYS", "3")
    settings, now = Settings.read(), datetime.now(UTC)
    settings.home.mkdir()
    records = ProjectRecords.open(settings.database_url)
    deletions, of_project = Deletions(records.database), {}
    for name, days in (("long-ago", 4), ("lately", 2)):
        records.create_project(name, pipeline="two", pipeline_digest="d", env={}, created_by="anna")
        of_project[name] = run(instance)
        instance.add_run_tags(of_project[name], {PROJECT_TAG: name})
        records.record_run(RunRecord(of_project[name], name, "two", "d", now, "anna"))
        records.record_run_end(of_project[name], "succeeded", "", now)
        deletions.delete(name, by="anna", reason="", at=now - timedelta(days=days))

    retention_sensor(build_sensor_context(instance))

    assert records.names() == {"lately"}
    assert runs(instance) == {of_project["lately"]}
    deletions.restore("lately")
    assert records.project("lately").latest_run == of_project["lately"]
    records.close()


def test_the_sensor_removes_a_file_of_the_pool_that_was_deleted_long_ago_and_that_no_project_has(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_TRASH_DAYS", "3")
    settings, now = Settings.read(), datetime.now(UTC)
    settings.home.mkdir()
    records, film = ProjectRecords.open(settings.database_url), tmp_path / "film.mp4"
    film.write_bytes(b"film")
    pool = Pool(records.database, open_store(settings.store_url))
    records.create_project("ulm-07", pipeline="two", pipeline_digest="d", env={}, created_by="anna")
    for name, days in (("long-ago", 4), ("in-use", 4), ("lately", 2)):
        file = pool.add(film, name, "anna")
        if name == "in-use":
            records.add_input("ulm-07", "video", file.manifest, original_path="pool:in-use", added_by="anna")
        pool.rows.remove(name, by="anna", at=now - timedelta(days=days))

    report = retention_sensor(build_sensor_context(instance))

    assert "freed 4 B" in str(report)
    assert {each["name"] for each in pool.rows.deleted()} == {"in-use", "lately"}
    records.close()


def test_the_sensor_prunes_the_feed_of_changes(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("winslow_dagster.sensors.retention.CHANGES_KEPT", -LATER)
    records = ProjectRecords.open(Settings.read().database_url)
    feed = ChangeFeed(records.database)
    cursor = feed.changes().cursor
    records.create_project("ulm-07", pipeline="two", pipeline_digest="d", env={}, created_by="anna")
    retention_sensor(build_sensor_context(instance))
    assert feed.changes(cursor).missed
    records.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a directory that cannot be deleted")
def test_what_cannot_be_deleted_is_reported_and_keeps_nothing_else(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_RUN_RETENTION_DAYS", "0")
    settings = Settings.read()
    settings.home.mkdir()
    records = ProjectRecords.open(settings.database_url)
    records.create_project("ulm-07", pipeline="two", pipeline_digest="d", env={}, created_by="anna")
    held = settings.node.tasks_dir / ".forgotten-run.a.1" / "output"
    held.mkdir(parents=True)
    row = {
        "project": "ulm-07",
        "stage": "a",
        "kind": "leftovers",
        "address": "run.a.1",
        "size_bytes": 1,
        "reason": "old",
    }
    with records.database.writing() as connection:
        connection.execute(schema.removals.insert().values(row | {"decided_at": datetime.now(UTC)}))
    run(instance)
    subprocess.run(["mount", "-t", "tmpfs", "none", held], check=True)
    try:
        context = build_sensor_context(instance)
        report = str(retention_sensor(context))
        uploads = delete_abandoned_uploads(settings, open_engine(settings), datetime.now(UTC))
    finally:
        subprocess.run(["umount", held], check=True)
    assert "cannot be deleted: Device or resource busy" in report
    assert "deleted 1 runs from Dagster" in report
    assert context.cursor == datetime.now(UTC).date().isoformat()
    assert ["cannot be deleted" in said for said in uploads] == [True]
    records.close()


def test_a_day_that_ran_out_of_time_continues_where_it_stopped(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("winslow_dagster.sensors.retention.TICK_S", -1.0)
    today = datetime.now(UTC).date().isoformat()
    context = build_sensor_context(instance)
    retention_sensor(context)
    assert context.cursor == f"{today} -"
    monkeypatch.setattr("winslow_dagster.sensors.retention.TICK_S", 600.0)
    again = build_sensor_context(instance, cursor=context.cursor)
    retention_sensor(again)
    assert again.cursor == today


@pytest.mark.parametrize("days", ["-1", "soon", "inf", "nan", ""])
def test_an_invalid_number_of_days_is_an_error_that_names_the_variable(days: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"WINSLOW_RUN_RETENTION_DAYS is .*; expected a number of days"):
        Settings.read({"WINSLOW_RUN_RETENTION_DAYS": days})
