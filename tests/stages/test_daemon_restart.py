"""The Docker daemon may go away while a stage runs. Tried on a daemon of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attempts import Place
from docker_daemon import STARTABLE, Daemon, own_daemon
from patience import until

from winslow_dagster.stages.runner import runtime_selection

pytestmark = STARTABLE

PRINTS = 'i=0; while [ $i -lt 40 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done; exit 4'


@pytest.fixture
def daemon(test_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with own_daemon(test_image) as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.host)
        yield daemon


def test_a_stage_goes_on_through_a_restart_of_a_daemon_that_lets_it(daemon: Daemon, docker_place: Place) -> None:
    task = docker_place.task(PRINTS)
    with docker_place.running(task) as runner:
        until("it prints", lambda: docker_place.printed(task) > 3)
        daemon.kill()
        until("the status says so", lambda: "the Docker daemon has not responded" in docker_place.reason(task))
        daemon.start("--live-restore")
        assert runner.wait() == 0
    result = docker_place.directory(task).result()
    assert result is not None
    assert (result.outcome, result.exit_code) == ("failed", 4)
    assert docker_place.lines(task) == [f"line {number}" for number in range(40)]
    assert daemon.docker("ps", "-aq").stdout == b""


def test_a_stage_that_a_daemon_took_with_it_is_lost(daemon: Daemon, docker_place: Place) -> None:
    task = docker_place.task(PRINTS.replace("40", "4000"))
    with docker_place.running(task) as runner:
        until("it prints", lambda: docker_place.printed(task) > 3)
        daemon.kill()
        daemon.start()
        assert runner.wait() == 0
    result = docker_place.directory(task).result()
    assert result is not None
    assert result.outcome == "lost"
    assert "the Docker daemon was restarted" in result.message


def test_a_stage_that_needs_a_container_waits_for_a_daemon_that_is_away(daemon: Daemon, docker_place: Place) -> None:
    task = docker_place.task("echo ran")
    daemon.kill()
    assert runtime_selection.image_digest(task) == ""
    with docker_place.running(task) as runner:
        until("the status says so", lambda: "waiting for Docker: " in docker_place.reason(task))
        daemon.start("--live-restore")
        assert runner.wait() == 0
    result = docker_place.directory(task).result()
    assert result is not None
    assert (result.outcome, docker_place.lines(task)) == ("succeeded", ["ran"])


def test_a_stage_that_waits_for_a_daemon_can_be_cancelled(daemon: Daemon, docker_place: Place) -> None:
    task = docker_place.task("true", mode="auto", command=(), args=())
    daemon.kill()
    with docker_place.running(task) as runner:
        until("the status says so", lambda: "waiting for Docker: " in docker_place.reason(task))
        docker_place.directory(task).request_cancel("enough")
        assert runner.wait() == 0
    result = docker_place.directory(task).result()
    assert result is not None
    assert (result.outcome, result.message) == ("cancelled", "enough")
    daemon.start()
