"""The feed of changes: every write shows up, with the right ids, however late it is committed."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from patience import until

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.change_feed import UNWATCHED, WATCHED, ChangeFeed, Snapshot
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.retention.pins import Pins
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANIFEST = Manifest(address="a", files=(FileEntry(path="a.csv", size_bytes=3, blake3="c"),))
OTHER = Manifest(address="b", files=(FileEntry(path="b.csv", size_bytes=3, blake3="d"),))
WRITERS = 8
TURNS = 12


def task(run_id: str, attempt: int = 1) -> StageTask:
    return StageTask(
        task_id=f"{run_id}.detect.{attempt}",
        project="ulm-07",
        pipeline="p",
        stage="detect",
        attempt=attempt,
        run_id=run_id,
        output_address="o",
        log_address="l",
        store_url="file:///store",
        log_rules=LogRules(),
    )


def result(of: StageTask) -> StageResult:
    return StageResult(
        task_id=of.task_id,
        outcome="succeeded",
        message="",
        started_at=BEGIN,
        ended_at=BEGIN,
        node="here",
        outputs=MANIFEST,
    )


@pytest.fixture
def ulm(records: ProjectRecords) -> ProjectRecords:
    """A project with a run, two attempts (one open), a pause of an earlier run, a pin and a to-do."""
    create(records, "ulm-07")
    create(records, "augsburg")
    records.record_run(run("run1"))
    for attempt in (1, 2):
        records.attempt_started(task("run1", attempt))
    records.attempt_ended("run1.detect.1", result(task("run1")))
    Holds(records.database).pause("ulm-07", "run0", "anna")
    Annotations(records.database).add_todo("ulm-07", "look", "anna")
    Pins(records.database).pin("run1.detect.1", "anna")
    return records


def create(records: ProjectRecords, name: str) -> None:
    records.create_project(name, pipeline="p", pipeline_digest="d", env={}, created_by="anna")


def run(run_id: str) -> RunRecord:
    return RunRecord(run_id, "ulm-07", "p", "d", BEGIN, "anna")


Write = Callable[[Any], object]
ULM, FIRST, SECOND = "ulm-07", "run1.detect.1", "run1.detect.2"
CLASSES: dict[type, Callable[[ProjectRecords], Any]] = {
    ProjectRecords: lambda records: records,
    Holds: lambda records: Holds(records.database),
    Answers: lambda records: Answers(records.database),
    Annotations: lambda records: Annotations(records.database),
    Audit: lambda records: Audit(records.database),
    Pins: lambda records: Pins(records.database),
}
WRITES: dict[tuple[type, str], tuple[Write, str, str | None]] = {
    (ProjectRecords, "create_project"): (lambda it: create(it, "new"), "new", None),
    (ProjectRecords, "pin_pipeline"): (lambda it: it.pin_pipeline(ULM, "p", "e"), ULM, None),
    (ProjectRecords, "add_input"): (
        lambda it: it.add_input(ULM, "video", MANIFEST, original_path="/a", added_by="anna"),
        ULM,
        None,
    ),
    (ProjectRecords, "record_run"): (lambda it: it.record_run(run("run2")), ULM, None),
    (ProjectRecords, "record_unannounced_run"): (lambda it: it.record_unannounced_run(run("run3")), ULM, None),
    (ProjectRecords, "record_run_waits"): (lambda it: it.record_run_waits("run1", "the store"), ULM, None),
    (ProjectRecords, "record_run_missing"): (lambda it: it.record_run_missing("run1", BEGIN), ULM, None),
    (ProjectRecords, "record_run_found"): (lambda it: it.record_run_found("run1"), ULM, None),
    (ProjectRecords, "record_run_end"): (lambda it: it.record_run_end("run1", "failed", "", BEGIN), ULM, None),
    (ProjectRecords, "record_run_output"): (lambda it: it.record_run_output("run1", "detect", OTHER), ULM, None),
    (ProjectRecords, "attempt_started"): (lambda it: it.attempt_started(task("run2")), ULM, "run2.detect.1"),
    (ProjectRecords, "attempt_ended"): (
        lambda it: it.attempt_ended(SECOND, result(task("run1", 2)).model_copy(update={"outcome": "failed"})),
        ULM,
        SECOND,
    ),
    (ProjectRecords, "attempt_by_hand"): (
        lambda it: it.attempt_by_hand(task("hand"), result(task("hand")), it.attempt(FIRST)),
        ULM,
        "hand.detect.1",
    ),
    (Holds, "pause"): (lambda it: it.pause(ULM, "run1", "ben", "detect"), ULM, None),
    (Holds, "withdraw_pause"): (lambda it: it.withdraw_pause(ULM, "run1"), ULM, None),
    (Holds, "held_by_pause"): (lambda it: it.held_by_pause(ULM, "run0", "track", ()), ULM, None),
    (Holds, "hold"): (lambda it: it.hold(Hold("run1", "track", ULM, "input", "which?", BEGIN)), ULM, None),
    (Holds, "pick"): (lambda it: it.pick(Pick(ULM, "p", "detect", FIRST, BEGIN, "anna")), ULM, FIRST),
    (Answers, "add"): (lambda it: it.add(Answer(ULM, "p", "track", MANIFEST, "anna")), ULM, None),
    (Annotations, "set_tags"): (lambda it: it.set_tags(ULM, ["north"]), ULM, None),
    (Annotations, "change_tags"): (lambda it: it.change_tags(ULM, add=["east"]), ULM, None),
    (Annotations, "set_notes"): (lambda it: it.set_notes(ULM, "looks good"), ULM, None),
    (Annotations, "add_todo"): (lambda it: it.add_todo(ULM, "look again", "anna"), ULM, None),
    (Annotations, "finish_todo"): (lambda it: it.finish_todo(ULM, it.todos(ULM)[0].number, "anna"), ULM, None),
    (Audit, "note"): (lambda it: it.note(Actor("anna"), "pause", ULM), ULM, None),
    (Pins, "pin"): (lambda it: it.pin(SECOND, "anna"), ULM, SECOND),
    (Pins, "unpin"): (lambda it: it.unpin(FIRST), ULM, FIRST),
    (Pins, "set_rules"): (lambda it: it.set_rules(ULM, (), "anna"), ULM, None),
}
READS: dict[type, set[str]] = {
    ProjectRecords: {
        "attempt",
        "attempts",
        "close",
        "concluded_runs",
        "database",
        "find_project",
        "had_runs",
        "held_versions",
        "inputs",
        "latest_run",
        "latest_runs",
        "names",
        "manifests",
        "log_results",
        "open",
        "projects_with",
        "open_attempts",
        "open_runs",
        "project",
        "project_lock",
        "require_project",
        "projects",
        "result",
        "run",
        "run_outputs",
        "runs",
        "runs_of_sweep",
        "sweep_runs",
        "task",
        "unrecorded_ends",
        "versions_used",
    },
    Holds: {"holds", "pause_of", "pauses_of", "picks"},
    Answers: {"of_project"},
    Annotations: {"todos"},
    Audit: {"choices", "entries", "find"},
    Pins: {"pins", "rules"},
}


def test_every_table_is_watched_or_no_part_of_a_project() -> None:
    assert set(WATCHED) | UNWATCHED == set(schema.metadata.sorted_tables)
    assert not set(WATCHED) & UNWATCHED


def test_every_method_of_the_records_classes_is_known_to_read_or_to_write() -> None:
    for kind, reads in READS.items():
        public = {name for name in dir(kind) if not name.startswith("_")}
        assert public == reads | {name for each, name in WRITES if each is kind}, kind


def test_every_write_is_a_change_of_its_project_and_attempt(ulm: ProjectRecords) -> None:
    feed = ChangeFeed(ulm.database)
    cursor = feed.changes().cursor
    for (kind, name), (write, project, attempt) in WRITES.items():
        write(CLASSES[kind](ulm))
        changes = feed.changes(cursor)
        assert changes.projects == {project}, name
        assert changes.attempts == (set() if attempt is None else {attempt}), name
        assert not changes.missed
        after = feed.changes(changes.cursor)
        assert (after.projects, after.attempts, after.missed) == (set(), set(), False), name
        cursor = after.cursor


def test_a_watcher_begins_with_nothing_and_reads_change_nothing(ulm: ProjectRecords) -> None:
    feed = ChangeFeed(ulm.database)
    first = feed.changes()
    assert (first.projects, first.attempts, first.missed) == (set(), set(), False)
    ulm.projects()
    ulm.attempts(ULM)
    assert feed.changes(first.cursor).projects == set()


def test_what_is_rolled_back_is_no_change(ulm: ProjectRecords) -> None:
    feed = ChangeFeed(ulm.database)
    cursor = feed.changes().cursor

    def fail_after_a_write() -> None:
        with ulm.database.writing() as connection:
            touch(connection, ULM)
            raise KeyError

    with pytest.raises(KeyError):
        fail_after_a_write()
    assert feed.changes(cursor).projects == set()


def test_a_cursor_outlives_its_watcher(ulm: ProjectRecords, database_url: str) -> None:
    cursor = ChangeFeed(ulm.database).changes().cursor
    ulm.pin_pipeline(ULM, "p", "e")
    other = ProjectRecords.open(database_url)
    assert ChangeFeed(other.database).changes(cursor).projects == {ULM}
    other.close()


def touch(connection: sa.Connection, project: str) -> None:
    table = schema.projects
    connection.execute(table.update().where(table.c.name == project).values(notes="touched"))


@pytest.mark.postgres
def test_a_transaction_that_began_early_and_ends_late_is_not_missed(postgres_url: str) -> None:
    records = ProjectRecords.open(postgres_url)
    feed = ChangeFeed(records.database)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        create(records, name)
    cursor = feed.changes().cursor
    with ExitStack() as late:
        open_ones = []
        for name in names[:3]:
            open_ones.append(late.enter_context(ExitStack()))
            touch(open_ones[-1].enter_context(records.database.writing()), name)
        for name in names[3:]:
            with records.database.writing() as connection:
                touch(connection, name)
        first = feed.changes(cursor)
        assert first.projects == set(names[3:])
        open_ones[1].close()
        second = feed.changes(first.cursor)
        assert second.projects == {names[1]}
    third = feed.changes(second.cursor)
    assert third.projects == {names[0], names[2]}
    assert feed.changes(third.cursor).projects == set()
    records.close()


def test_a_watcher_beside_many_writers_loses_nothing(records: ProjectRecords) -> None:
    feed = ChangeFeed(records.database)
    cursor = feed.changes().cursor
    seen: set[str] = set()
    done = threading.Event()

    def write(writer: int) -> set[str]:
        names = set()
        for turn in range(TURNS):
            name = f"p-{writer}-{turn}"
            # The rows are written long before they are committed; each is written once.
            with records.database.writing() as connection:
                connection.execute(schema.projects.insert().values(bare_project(name)))
                connection.execute(sa.select(sa.func.count()).select_from(schema.projects))
            names.add(name)
        return names

    def watch() -> None:
        nonlocal cursor
        while True:
            last = done.is_set()
            changes = feed.changes(cursor)
            cursor = changes.cursor
            seen.update(changes.projects)
            assert not changes.missed
            if last:
                return

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        watcher = pool.submit(watch)
        try:
            written = set().union(*pool.map(write, range(WRITERS)))
        finally:
            # Also after an error: leaving the pool waits for the watcher.
            done.set()
        watcher.result(60)
    assert len(written) == WRITERS * TURNS
    assert seen == written


def bare_project(name: str) -> dict[str, object]:
    return {
        "name": name,
        "pipeline": "p",
        "pipeline_digest": "d",
        "env": {},
        "created_at": BEGIN,
        "created_by": "anna",
        "owner": "anna",
        "tags": [],
        "notes": "",
    }


def create_in_a_process(database_url: str, name: str) -> None:
    records = ProjectRecords.open(database_url)
    create(records, name)
    records.close()


def test_the_writes_of_another_process_are_seen(records: ProjectRecords, database_url: str) -> None:
    feed = ChangeFeed(records.database)
    cursor = feed.changes().cursor
    process = multiprocessing.get_context("spawn").Process(target=create_in_a_process, args=(database_url, "new"))
    process.start()
    process.join()
    assert feed.changes(cursor).projects == {"new"}


def rows(records: ProjectRecords) -> int:
    with records.database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.changes)).scalar_one()


def settled_cursor(feed: ChangeFeed) -> str:
    """A cursor taken while nobody else writes: a server knows one order of all transactions of its databases.

    With another one that names a transaction as open, the feed rather says once too often that changes were missed.
    """
    found: list[str] = []

    def settled() -> bool:
        found.append(feed.changes().cursor)
        return not Snapshot.parse(found[-1]).open

    until("no other test writes", settled)
    return found[-1]


def test_what_is_old_is_pruned_and_a_watcher_that_slept_too_long_learns_it(ulm: ProjectRecords) -> None:
    feed = ChangeFeed(ulm.database)
    early = feed.changes().cursor
    assert feed.prune(BEGIN) == 0
    ulm.pin_pipeline(ULM, "p", "e")
    late = settled_cursor(feed)
    for _ in range(2):
        assert feed.prune(datetime.now(UTC) + timedelta(minutes=1)) > 0
        assert rows(ulm) == 1
        assert feed.changes(early).missed
        assert not feed.changes(late).missed
        ulm.pin_pipeline(ULM, "p", "f")
        assert feed.changes(late).projects == {ULM}
        early = late
        late = settled_cursor(feed)
    assert feed.prune(BEGIN) == 0


def test_a_cursor_of_something_else_means_that_everything_may_have_changed(ulm: ProjectRecords) -> None:
    feed = ChangeFeed(ulm.database)
    for number, cursor in enumerate(("", "nonsense", "1:2", "a:b:c", "99999999999:99999999999:")):
        changes = feed.changes(cursor)
        assert changes.missed
        ulm.pin_pipeline(ULM, "p", str(number))
        assert feed.changes(changes.cursor).projects == {ULM}
