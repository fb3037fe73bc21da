"""The database or the store is away for a run worker: it ends as if killed, or waits and says so; it fails nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dagster import Failure
from installation import until

from winslow_dagster.jobs.interruption import interruption_of
from winslow_dagster.jobs.outage import DATABASE_AWAY_EXIT_CODE
from winslow_dagster.jobs.store_wait import wait_for_store
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.status.project_list import summaries
from winslow_dagster.storage.factory import open_store

NOWHERE = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
WORKER = """
import sys
from sqlalchemy import create_engine, text
from winslow_dagster.jobs.outage import end_with_the_database
end_with_the_database()
engine = create_engine(sys.argv[1], pool_pre_ping=True)
try:
    with engine.connect() as connection:
        connection.execute(text(sys.argv[2]))
except Exception as error:
    print("handled", type(error).__name__)
if len(sys.argv) > 3:
    with create_engine(sys.argv[1]).connect() as other:
        other.execute(text(sys.argv[3]))
    with engine.connect() as connection:
        print("still there", connection.execute(text("SELECT 1")).scalar())
"""


def worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WORKER, *arguments], capture_output=True, text=True, check=False)


def test_a_worker_whose_database_does_not_answer_ends_before_anybody_handles_the_error() -> None:
    ended = worker(NOWHERE, "SELECT 1")
    assert (ended.returncode, ended.stdout) == (DATABASE_AWAY_EXIT_CODE, "")
    assert "the database does not answer; everything resumes when it does" in ended.stderr


@pytest.mark.postgres
def test_a_worker_whose_connection_is_cut_in_the_middle_ends_as_well(postgres_url: str) -> None:
    ended = worker(postgres_url, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert (ended.returncode, ended.stdout) == (DATABASE_AWAY_EXIT_CODE, "")


@pytest.mark.postgres
def test_an_idle_connection_that_was_cut_is_replaced_and_errors_of_a_statement_are_its_own(postgres_url: str) -> None:
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    assert worker(postgres_url, "SELECT 1", cut).stdout == "still there 1\n"
    assert worker(postgres_url, "SELECT nonsense").stdout == "handled ProgrammingError\n"


def test_errors_of_sqlite_are_handled_where_they_occur() -> None:
    ended = worker("sqlite://", "SELECT * FROM nowhere")
    assert (ended.returncode, ended.stdout) == (0, "handled OperationalError\n")


class Forwarder:
    """A port that leads to another one once `open` was called; before that, nobody listens there."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def open(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def forwarder(s3_endpoint: str) -> Iterator[Forwarder]:
    with closing(Forwarder(s3_endpoint)) as made:
        yield made


@pytest.fixture
def records(tmp_path: Path) -> Iterator[ProjectRecords]:
    with closing(ProjectRecords.open(f"sqlite:///{tmp_path / 'test.db'}")) as opened:
        opened.create_project("ulm", pipeline="traffic", pipeline_digest="d", env={}, created_by="anna")
        opened.record_run(RunRecord("run1", "ulm", "traffic", "d", datetime.now(UTC), "anna"))
        yield opened


def reason(records: ProjectRecords) -> str:
    (ulm,) = summaries(records, {"run1": "STARTED"})
    assert ulm.state == "running"
    return ulm.reason


@pytest.mark.s3
def test_a_store_that_is_away_is_waited_for_and_the_status_says_so(
    tmp_path: Path, s3_endpoint: str, s3_bucket_url: str, forwarder: Forwarder, records: ProjectRecords
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "table.csv").write_text("id,speed\n")
    outputs = open_store(s3_bucket_url, s3_endpoint).commit_tree(tree, "outputs")
    seen: list[bytes] = []
    logged: list[str] = []

    def read() -> bytes:
        return open_store(s3_bucket_url, forwarder.url).read_range(outputs, outputs.files[0], 0, 8)

    waiting = threading.Thread(target=lambda: seen.append(wait_for_store(read, records, "run1", logged.append)))
    waiting.start()
    until(lambda: reason(records).startswith("waiting for the store: "), "the status says what the run waits for")
    assert seen == []
    forwarder.open()
    waiting.join()
    assert (seen, reason(records)) == ([b"id,speed"], "")
    assert logged
    assert all(line.startswith("waiting for the store: ") for line in logged)


@pytest.mark.s3
def test_a_run_that_is_cancelled_does_not_wait_for_the_store(
    s3_bucket_url: str, forwarder: Forwarder, records: ProjectRecords
) -> None:
    interruption_of("run1").set()
    try:
        with pytest.raises(Failure, match="the run was cancelled; it was waiting for the store"):
            wait_for_store(lambda: open_store(s3_bucket_url, forwarder.url).manifest("outputs"), records, "run1", print)
    finally:
        interruption_of("run1").clear()
