"""The lock of a project, between threads and processes, on every kind of database."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from patience import until

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.database.records import ProjectRecords

THREADS = 32


def hold_until_killed(database_url: str, holding: Any) -> None:
    records = ProjectRecords.open(database_url)
    with records.project_lock("ulm-07", holder="anna", purpose="uploading inputs"):
        holding.set()
        signal.pause()


def test_who_waits_too_long_learns_who_holds_the_lock_and_what_for(records: ProjectRecords) -> None:
    with records.project_lock("ulm-07", holder="anna", purpose="uploading inputs"):
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        with (
            pytest.raises(
                ProjectConflict, match=rf"in use by anna \(uploading inputs, since {since}:\d\d UTC\)"
            ) as caught,
            records.project_lock("ulm-07", timeout_s=0.2),
        ):
            pass
    assert caught.value.where == "project ulm-07"


def test_a_holder_without_a_name_is_another_process(records: ProjectRecords) -> None:
    with (
        records.project_lock("ulm-07"),
        pytest.raises(ProjectConflict, match=r"in use by another process \(since "),
        records.project_lock("ulm-07", timeout_s=0),
    ):
        pass


def test_locks_of_other_projects_are_free(records: ProjectRecords) -> None:
    with records.project_lock("ulm-07"), records.project_lock("ulm-08", timeout_s=0):
        pass


def test_a_lock_is_free_again_after_the_block_however_it_ends(records: ProjectRecords) -> None:
    with pytest.raises(KeyError), records.project_lock("ulm-07"):
        raise KeyError
    with records.project_lock("ulm-07", timeout_s=0):
        pass


def test_of_many_threads_one_at_a_time_holds_the_lock(records: ProjectRecords) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        with records.project_lock("ulm-07", holder=str(number), timeout_s=120):
            inside.append(number)
            most.append(len(inside))
            records.projects()
            inside.remove(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(enter, range(THREADS)))
    assert most == [1] * THREADS


def test_a_lock_is_held_against_another_opening_of_the_same_database(
    records: ProjectRecords, database_url: str
) -> None:
    other = ProjectRecords.open(database_url)
    with (
        records.project_lock("ulm-07", holder="anna"),
        pytest.raises(ProjectConflict, match="in use by anna"),
        other.project_lock("ulm-07", timeout_s=0.1),
    ):
        pass
    other.close()


def test_the_lock_of_a_killed_process_is_free(records: ProjectRecords, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    holding = context.Event()
    process = context.Process(target=hold_until_killed, args=(database_url, holding))
    process.start()
    assert holding.wait(60)
    with (
        pytest.raises(ProjectConflict, match=r"in use by anna \(uploading inputs"),
        records.project_lock("ulm-07", timeout_s=0),
    ):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with (
        records.project_lock("ulm-07", holder="ben"),
        pytest.raises(ProjectConflict, match="in use by ben"),
        records.project_lock("ulm-07", timeout_s=0),
    ):
        pass
    process.join()


def test_holders_and_those_who_wait_take_no_connection_of_the_pool(database_url: str) -> None:
    records = ProjectRecords.open(database_url)
    waiting = threading.Semaphore(0)

    def wait_in_vain(_: int) -> None:
        waiting.release()
        with pytest.raises(ProjectConflict), records.project_lock("ulm-07", timeout_s=1):
            pass

    with ThreadPoolExecutor(THREADS) as pool, ExitStack() as held:
        held.enter_context(records.project_lock("ulm-07"))
        for number in range(THREADS):
            held.enter_context(records.project_lock(f"project-{number}"))
        outcomes = pool.map(wait_in_vain, range(THREADS))
        for _ in range(THREADS):
            assert waiting.acquire(timeout=30)
        with records.database.reading() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
            assert records.database._engine.pool.checkedout() == 1  # type: ignore[attr-defined]
        list(outcomes)
    records.close()


@pytest.mark.postgres
def test_all_locks_of_a_process_share_one_connection(postgres_url: str) -> None:
    records = ProjectRecords.open(postgres_url)
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    )

    def connections() -> int:
        with records.database.reading() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    with ExitStack() as held:
        for number in range(THREADS):
            held.enter_context(records.project_lock(f"project-{number}"))
        assert connections() == 2
    # The server notices only after a moment that a client has closed its connection.
    until("only the reader's own connection is left", lambda: connections() == 1)
    records.close()
