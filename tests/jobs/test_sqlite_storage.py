"""Dagster's SQLite storage with open connections: the same events, in fewer writes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from dagster import DagsterEvent, DagsterInstance, EventLogEntry
from dagster._core.events import DagsterEventType, EngineEventData
from dagster._core.instance import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from winslow_dagster.jobs.sqlite_storage import MAX_OPEN_FILES, OPEN_FILES, PooledEventLogStorage
from winslow_dagster.services.instance import write_instance
from winslow_dagster.settings import Settings

ROOT = Path(__file__).parents[2]
WAIT_S = 60
CONFIG = """
telemetry: {enabled: false}
storage:
  custom:
    module: winslow_dagster.jobs.sqlite_storage
    class: PooledSqliteStorage
    config: {base_dir: {env: DAGSTER_HOME}}
"""
STORE = """
import sys
from dagster import DagsterInstance
from tests.jobs.test_sqlite_storage import event
with DagsterInstance.get() as instance:
    for number in range(int(sys.argv[2])):
        instance.event_log_storage.store_event(event(sys.argv[1], f"{sys.argv[3]} {number}"))
        print(number, flush=True)
    sys.stdin.read()
"""


def event(run_id: str, message: str) -> EventLogEntry:
    return EventLogEntry(
        error_info=None,
        level="debug",
        user_message=message,
        run_id=run_id,
        timestamp=1.0,
        dagster_event=DagsterEvent(
            DagsterEventType.ENGINE_EVENT.value, "job", event_specific_data=EngineEventData(), message=message
        ),
    )


def store(instance: DagsterInstance, run_id: str, message: str) -> None:
    instance.event_log_storage.store_event(event(run_id, message))


def messages(instance: DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message for entry in instance.event_log_storage.get_logs_for_run(run_id)]


def opened(home: Path) -> DagsterInstance:
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(home)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "dagster.yaml").write_text(CONFIG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    yield tmp_path
    OPEN_FILES.close()


@pytest.fixture
def instance(home: Path) -> Iterator[DagsterInstance]:
    with opened(home) as made:
        yield made


def log_of(home: Path, run_id: str) -> Path:
    return home / "history" / "runs" / f"{run_id}.db-wal"


def test_events_are_appended_to_a_log_that_stays_open(instance: DagsterInstance, home: Path) -> None:
    database = home / "history" / "runs" / "one.db"
    store(instance, "one", "first")
    before = database.read_bytes()
    grown = log_of(home, "one").stat().st_size
    for number in range(10):
        store(instance, "one", f"event {number}")
    assert database.read_bytes() == before
    assert log_of(home, "one").stat().st_size > grown
    assert messages(instance, "one") == ["first", *(f"event {number}" for number in range(10))]


def test_events_are_synced_as_before(instance: DagsterInstance) -> None:
    store(instance, "one", "first")
    with OPEN_FILES.engine(instance.event_log_storage.conn_string_for_shard("one")).connect() as connection:  # type: ignore[attr-defined]
        full = 2
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == full


def test_what_another_process_stores_is_watched_while_both_keep_the_file_open(
    instance: DagsterInstance,
) -> None:
    seen: list[str] = []
    arrived = threading.Event()

    def heard(entry: EventLogEntry, _cursor: str) -> None:
        seen.append(entry.user_message)
        if len(seen) == 3:
            arrived.set()

    store(instance, "one", "before the watch")
    cursor = instance.event_log_storage.get_records_for_run("one").cursor
    instance.event_log_storage.watch("one", cursor, heard)
    with writer("one", 3, "live") as other:
        assert arrived.wait(WAIT_S), seen
        other.communicate("")
    instance.event_log_storage.end_watch("one", heard)
    assert seen == ["live 0", "live 1", "live 2"]


def writer(run_id: str, count: int, prefix: str) -> subprocess.Popen[str]:
    """A process that stores events, says so, and keeps the files open until its stdin is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", STORE, run_id, str(count), prefix],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def test_what_a_killed_process_had_stored_is_there(instance: DagsterInstance) -> None:
    with writer("one", 1000, "event") as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        told = 20 + len(process.stdout.readlines())
    found = messages(instance, "one")
    assert found[:told] == [f"event {number}" for number in range(told)]


@pytest.mark.slow
def test_processes_and_threads_that_write_at_once_lose_nothing(instance: DagsterInstance) -> None:
    processes = [writer("one", 25, f"process {name}") for name in "ab"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store(instance, "one", f"thread {number}"), range(50)))
    for process in processes:
        process.communicate("")
        assert process.returncode == 0
    expected = {f"thread {number}" for number in range(50)}
    expected |= {f"process {name} {number}" for name in "ab" for number in range(25)}
    found = messages(instance, "one")
    assert len(found) == len(expected)
    assert set(found) == expected


def test_a_fork_that_closes_all_files_opens_its_own(instance: DagsterInstance, home: Path) -> None:
    store(instance, "one", "parent, before")
    child = os.fork()
    if child == 0:
        signal.alarm(WAIT_S)
        done = 1
        try:
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # As a fork server does.
            with opened(home) as own:
                store(own, "one", "child")
            done = 0
        finally:
            os._exit(done)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store(instance, "one", "parent, after")
    assert messages(instance, "one") == ["parent, before", "child", "parent, after"]
    with sqlite3.connect(home / "history" / "runs" / "one.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_files_of_many_runs_are_not_all_kept_open(instance: DagsterInstance, home: Path) -> None:
    runs = [f"run-{number}" for number in range(MAX_OPEN_FILES + 10)]
    for run_id in runs:
        store(instance, run_id, "event")
    databases = {file.path for file in psutil.Process().open_files() if file.path.endswith(".db")}
    assert len([path for path in databases if path.startswith(str(home))]) <= MAX_OPEN_FILES
    assert [messages(instance, run_id) for run_id in runs] == [["event"]] * len(runs)


def test_dagsters_own_storage_reads_the_same_files(instance: DagsterInstance, home: Path) -> None:
    store(instance, "one", "event")
    stock = SqliteEventLogStorage(str(home / "history" / "runs"))
    assert [entry.user_message for entry in stock.get_logs_for_run("one")] == ["event"]


def test_everything_can_be_wiped(instance: DagsterInstance) -> None:
    store(instance, "one", "event")
    instance.event_log_storage.wipe()
    assert messages(instance, "one") == []
    store(instance, "one", "another")
    assert messages(instance, "one") == ["another"]


def test_an_installation_uses_it(tmp_path: Path) -> None:
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path)})
    write_instance(settings)
    with opened(settings.dagster_home) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLogStorage)
        assert instance.get_runs_count() == 0


def test_plain_dagster_opens_the_shipped_instance_without_a_home(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    program = (
        "from dagster._cli.utils import get_possibly_temporary_instance_for_cli as opened\n"
        "with opened() as instance: print(instance.get_runs_count())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["0"], done.stderr


def test_the_private_names_that_the_storage_uses_are_there(instance: DagsterInstance) -> None:
    events, schedules = instance.event_log_storage, instance.schedule_storage
    assert isinstance(events, PooledEventLogStorage)
    assert schedules is not None
    assert {"_conn_string"} <= set(vars(instance.run_storage)) & set(vars(schedules))
    assert {"_db_lock", "_initialized_dbs"} <= set(vars(events))
    assert {"_connect", "_initdb", "path_for_shard", "store_event", "wipe"} <= set(vars(SqliteEventLogStorage))
