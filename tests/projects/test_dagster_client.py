"""The GraphQL adapter against a real dagster-webserver."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster import DagsterRun as StoredRun
from graphql import parse, validate

from winslow_dagster.errors import InputRejected, NotFound, PipelineInvalid, ProjectConflict, ServiceUnavailable
from winslow_dagster.projects.dagster_api import graphql
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG, DagsterClient, DagsterRun, RunEvent
from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH

OURS = "0123456789abcdef"
INSTANCE = f"""
telemetry: {{enabled: false}}
run_launcher:
  module: winslow_dagster.jobs.launcher
  class: ProcessRunLauncher
  config: {{installation: {OURS}}}
run_coordinator: {{module: dagster.core.run_coordinator, class: DefaultRunCoordinator}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dagster")
    (directory / "dagster.yaml").write_text(INSTANCE)
    shutil.copy(Path(__file__).with_name("dagster_jobs.py"), directory)
    return directory


@pytest.fixture(scope="module")
def dagit(place: Path) -> Iterator[DagsterClient]:
    port = free_port()
    with (place / "web.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(str(Path(sys.executable).parent / "dagster-webserver"), "-f", "dagster_jobs.py"),
                *("-h", "127.0.0.1", "-p", str(port), "--path-prefix", DAGIT_PATH),
            ],
            cwd=place,
            env={**os.environ, "DAGSTER_HOME": str(place)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    dagit = DagsterClient(f"http://127.0.0.1:{port}", OURS)
    try:
        while not dagit.alive():
            assert server.poll() is None, (place / "web.log").read_text()
            pause()
        yield dagit
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def pause() -> None:
    """Between two looks at something that ends with the test's own time-out."""
    with selectors.DefaultSelector() as nothing:
        nothing.select(0.05)


def follow(dagit: DagsterClient, run_id: str, until: Callable[[RunEvent], bool]) -> list[RunEvent]:
    """The events up to the one that is waited for."""
    seen: list[RunEvent] = []
    cursor = None
    while True:
        page = dagit.events(run_id, cursor)
        seen += page.events
        cursor = page.cursor
        if any(until(event) for event in page.events):
            return seen
        pause()


def ended(dagit: DagsterClient, run_id: str) -> DagsterRun:
    """The run after its end; Dagster writes the event first, and then the run."""
    while not (run := dagit.run(run_id)).ended:
        pause()
    return run


def launch(dagit: DagsterClient, job: str, config: dict[str, object], **tags: str) -> DagsterRun:
    run_id = dagit.launch(dagit.job(job), config, {f"winslow/{key}": value for key, value in tags.items()})
    return dagit.run(run_id)


COUNT = {"ops": {"count": {"config": {"upto": 3}}}}


@pytest.fixture(scope="module")
def counted(dagit: DagsterClient) -> tuple[str, list[RunEvent]]:
    """A run of a project that was launched and has ended, with its events."""
    run = launch(dagit, "counting", COUNT, project="ulm-07")
    return run.run_id, follow(dagit, run.run_id, lambda event: event.kind == "RUN_SUCCESS")


@pytest.mark.parametrize("name", [name for name in vars(graphql) if name.isupper() and name != "RUN_FIELDS"])
def test_every_query_fits_the_schema_of_the_installed_dagster(name: str) -> None:
    from dagster_graphql.schema import create_schema

    query = getattr(graphql, name)
    queries = [query] if query.lstrip().startswith("mutation") else [query, graphql.with_identity(query)]
    assert [validate(create_schema().graphql_schema, parse(each)) for each in queries] == [[]] * len(queries)


def test_a_server_that_runs_is_alive(dagit: DagsterClient) -> None:
    assert dagit.alive()


def test_all_jobs_are_listed(dagit: DagsterClient) -> None:
    assert dagit.job_names() == ("counting", "waiting")


def test_a_job_is_found_with_its_place_and_version(dagit: DagsterClient) -> None:
    job = dagit.job("counting")
    assert (job.repository, job.location, job.digest) == ("winslow", "dagster_jobs.py", "one")
    assert dagit.job("waiting").digest is None


def test_an_unknown_job_is_said_to_be_unknown(dagit: DagsterClient) -> None:
    with pytest.raises(NotFound, match="no job 'nothing'"):
        dagit.job("nothing")


def test_a_launched_run_is_followed_to_its_end(dagit: DagsterClient, counted: tuple[str, list[RunEvent]]) -> None:
    run_id, events = counted
    assert ("count", "counted to 3") in [(event.stage, event.message) for event in events]
    over = ended(dagit, run_id)
    assert (over.status, over.project, over.job) == ("SUCCESS", "ulm-07", "counting")
    assert [(step.stage, step.status) for step in over.steps] == [("count", "SUCCESS")]
    assert over.started_at is not None
    assert over.ended_at is not None
    assert over.created_at <= over.started_at <= over.ended_at


def test_runs_are_found_by_project_and_by_state(dagit: DagsterClient, counted: tuple[str, list[RunEvent]]) -> None:
    run_id = ended(dagit, counted[0]).run_id
    assert [found.run_id for found in dagit.runs(project="ulm-07")] == [run_id]
    assert [found.run_id for found in dagit.runs(project="ulm-07", statuses=("SUCCESS",))] == [run_id]
    assert dagit.runs(project="ulm-07", statuses=("QUEUED",)) == ()
    assert dagit.runs(project="ulm-08") == ()


def test_a_run_config_that_does_not_fit_is_refused_with_every_fault(dagit: DagsterClient) -> None:
    with pytest.raises(InputRejected) as caught:
        launch(dagit, "counting", {"ops": {"count": {"config": {"up": 3}}}})
    assert "ops.count.config has no field 'up'" in caught.value.what
    assert "ops.count.config lacks the field 'upto'" in caught.value.what
    with pytest.raises(InputRejected, match=r"ops\.count\.config\.upto: Invalid scalar"):
        launch(dagit, "counting", {"ops": {"count": {"config": {"upto": "many"}}}})


@pytest.mark.slow
def test_a_running_run_is_ended_and_an_ended_one_cannot_be(dagit: DagsterClient) -> None:
    run = launch(dagit, "waiting", {})
    follow(dagit, run.run_id, lambda event: event.kind == "STEP_START")
    dagit.terminate(run.run_id)
    assert ended(dagit, run.run_id).status == "CANCELED"
    with pytest.raises(ProjectConflict):
        dagit.terminate(run.run_id)


def test_an_unknown_run_is_said_to_be_unknown_by_every_call(dagit: DagsterClient) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    for call in (dagit.run, dagit.events, dagit.terminate):
        with pytest.raises(NotFound, match=f"no run {unknown}"):
            call(unknown)


def test_runs_that_wait_are_listed_in_order_and_each_is_read_once(dagit: DagsterClient, place: Path) -> None:
    known: dict[str, DagsterRun] = {}
    with DagsterInstance.from_config(str(place)) as instance:
        queued = [
            StoredRun(job_name="j", run_id=str(uuid4()), status=DagsterRunStatus.NOT_STARTED, tags={PROJECT_TAG: name})
            for name in ("ulm-07", "ulm-08")
        ]
        for run in queued:
            instance.run_storage.add_run(run)

        first = dagit.active_runs(known)
        again = dagit.active_runs(known)

        assert [(run.run_id, run.project) for run in first] == [(run.run_id, run.tags[PROJECT_TAG]) for run in queued]
        assert all(run is before for run, before in zip(again, first, strict=True))
        instance.delete_run(queued[0].run_id)
        assert [run.run_id for run in dagit.active_runs(known)] == [queued[1].run_id]
        assert set(known) == {queued[1].run_id}
        instance.delete_run(queued[1].run_id)
    assert dagit.active_runs(known) == ()


def test_daemons_that_do_not_run_are_named(dagit: DagsterClient) -> None:
    assert "SENSOR" in dagit.silent_daemons()


@pytest.mark.slow
def test_a_reload_takes_up_what_changed_and_says_what_is_broken(dagit: DagsterClient, place: Path) -> None:
    (place / "version").write_text("two")
    location = dagit.job("counting").location
    dagit.reload(location)
    assert dagit.job("counting").digest == "two"
    (place / "broken").touch()
    with pytest.raises(PipelineInvalid, match="a pipeline went wrong"):
        dagit.reload(location)
    with pytest.raises(PipelineInvalid, match="a pipeline went wrong"):
        dagit.job_names()
    (place / "broken").unlink()
    dagit.reload(location)
    assert dagit.job_names() == ("counting", "waiting")


def test_an_unknown_location_cannot_be_reloaded(dagit: DagsterClient) -> None:
    with pytest.raises(NotFound):
        dagit.reload("elsewhere")


def test_where_no_server_is_the_remedy_is_to_start_it() -> None:
    nobody = DagsterClient(f"http://127.0.0.1:{free_port()}", OURS)
    assert not nobody.alive()
    with pytest.raises(ServiceUnavailable, match="Start the services"):
        nobody.job_names()


def test_nothing_is_asked_of_another_installation_s_server_and_nothing_it_says_is_believed(
    dagit: DagsterClient,
) -> None:
    stranger = DagsterClient(dagit._address, "another")
    job, before = dagit.job("counting"), dagit.runs()
    assert not stranger.alive()
    assert not stranger.pipelines_loaded()
    for question in (
        lambda: stranger.runs_by_id(["none"]),
        lambda: stranger.run("none"),
        lambda: stranger.terminate("none"),
        lambda: stranger.launch(job, {}, {}),
        stranger.silent_daemons,
    ):
        with pytest.raises(ServiceUnavailable, match=r"belongs to another installation.*Start the services"):
            question()
    assert dagit.runs() == before


@pytest.mark.parametrize("answer", ["[]", "{}", '{"data": {}}', '{"data": {"identity": {"info": "a: 1"}}}'])
def test_a_program_that_is_no_dagster_is_not_taken_for_one(answer: str) -> None:
    with other_program(answer) as address:
        other = DagsterClient(address, OURS)
        assert not other.alive()
        with pytest.raises(ServiceUnavailable, match="another program"):
            other.job_names()


@contextlib.contextmanager
def other_program(answer: str) -> Iterator[str]:
    """The address of a server that gives this answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            """Not on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_refusal_and_a_failure_of_the_server_are_told(dagit: DagsterClient) -> None:
    with pytest.raises(ServiceUnavailable, match="the web server refused"):
        DagsterClient(f"{dagit._address}/nowhere", OURS).job_names()
    with pytest.raises(ServiceUnavailable, match=r"refused|failed"):
        dagit._ask("{ nonsense }")
