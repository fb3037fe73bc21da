"""One database in the hands of many threads, on every kind of database."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.status.project_list import list_projects
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest

THREADS = 32
RUNS = 4
BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANIFEST = Manifest(address="a", files=(FileEntry(path="a.csv", size_bytes=3, blake3="c"),))


def create(records: ProjectRecords, name: str) -> None:
    records.create_project(name, pipeline="p", pipeline_digest="d", env={}, created_by="anna")


def everything_with(records: ProjectRecords, number: int) -> None:
    """What commands, run workers and pages do with a project of their own and one that all share."""
    name, database = f"own-{number:02}", records.database
    create(records, name)
    for turn in range(RUNS):
        run_id = f"run-{number}-{turn}"
        records.record_run(RunRecord(run_id, name, "p", "d", BEGIN + timedelta(minutes=turn), "anna"))
        task = StageTask(
            task_id=f"{run_id}.detect.1",
            project=name,
            pipeline="p",
            stage="detect",
            run_id=run_id,
            output_address="o",
            log_address="l",
            store_url="file:///store",
            log_rules=LogRules(),
        )
        records.attempt_started(task)
        ended = StageResult(
            task_id=task.task_id, outcome="succeeded", message="", started_at=BEGIN, ended_at=BEGIN, node="here"
        )
        records.attempt_ended(task.task_id, ended.model_copy(update={"outputs": MANIFEST}))
        Holds(database).pause(name, run_id, "anna")
        Holds(database).hold(Hold(run_id, "track", name, "input", "which side?", BEGIN + timedelta(minutes=turn)))
        records.record_run_end(run_id, "awaiting_input", "", BEGIN + timedelta(hours=1))
        Answers(database).add(Answer("shared", "p", "track", MANIFEST, f"{number}-{turn}"))
        with records.project_lock("shared", holder=name, timeout_s=120):
            Annotations(database).add_todo("shared", f"{number}-{turn}", "anna")
        Audit(database).note(Actor(who=name), "run", name)
        states = {each.project: each.state for each in list_projects(records, lambda: None, no_version)}
        assert states[name] == "awaiting_input"


def no_version(*version: str) -> Pipeline:
    raise AssertionError(f"no project here has succeeded, so that nobody reads {version}")


def test_many_threads_read_and_write_at_once_and_lose_nothing(records: ProjectRecords) -> None:
    create(records, "shared")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda number: everything_with(records, number), range(THREADS)))
    total = THREADS * RUNS
    names = [f"own-{number:02}" for number in range(THREADS)]
    assert [project.name for project in records.projects()] == [*names, "shared"]
    for number, name in enumerate(names):
        assert records.project(name).latest_run == f"run-{number}-{RUNS - 1}"
        assert [run.outcome for run in records.runs(name)] == ["awaiting_input"] * RUNS
        assert [attempt.outcome for attempt in records.attempts(name)] == ["succeeded"] * RUNS
        assert len(Holds(records.database).holds(run.run_id for run in records.runs(name))) == RUNS
    answers = Answers(records.database).of_project("shared")
    assert sorted(answer.version for answer in answers) == list(range(1, total + 1))
    assert len({answer.given_by for answer in answers}) == total
    assert len({todo.text for todo in Annotations(records.database).todos("shared")}) == total
    assert len(Audit(records.database).entries()) == total


def test_who_gets_no_connection_in_time_is_told_so_and_gets_one_later(database_url: str) -> None:
    database = Database(database_url, pool_size=2, pool_timeout_s=0.2)
    with (
        database.reading(),
        database.reading(),
        pytest.raises(ServiceUnavailable, match=r"all 2 connections .* have been in use for 0.2 s"),
        database.reading(),
    ):
        pass
    with database.reading(), database.reading():
        pass
    database.close()


def test_a_connection_comes_back_from_a_block_that_fails(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_timeout_s=0.2)
    for _ in range(3):
        with pytest.raises(KeyError), database.reading():
            raise KeyError
        with pytest.raises(KeyError), database.writing():
            raise KeyError
        with pytest.raises(ServiceUnavailable), database.reading() as connection:
            connection.execute(sa.text("SELECT * FROM nowhere"))
    with database.reading():
        pass
    database.close()


def test_closing_frees_every_file_and_connection(database_url: str, tmp_path: Path) -> None:
    gc.collect()
    before = set(open_files())
    records = ProjectRecords.open(database_url)
    create(records, "a")
    everyone = threading.Barrier(8)

    def read(number: int) -> None:
        with records.project_lock(f"p{number}"), records.database.reading() as connection:
            connection.execute(sa.text("SELECT 1"))
            everyone.wait(60)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    records.close()
    assert set(open_files()) - before == set()
    assert list(tmp_path.rglob("*-wal")) == []


def open_files() -> Iterator[tuple[str, str]]:
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            yield descriptor.name, str(descriptor.readlink())
        except FileNotFoundError:
            continue  # the listing's own
