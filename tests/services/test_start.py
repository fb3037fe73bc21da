"""A start of the services takes as long as it takes, says what it waits for, and ends where it cannot succeed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from installation import Installation, kill, until

import winslow_dagster
from winslow_dagster import Winslow
from winslow_dagster.engines.spawn import ProcessIdentity
from winslow_dagster.errors import PipelineInvalid, ServiceUnavailable
from winslow_dagster.projects.dagster_api.serving import supervised
from winslow_dagster.services import Services, readiness
from winslow_dagster.services.instance import LOCATION, code_socket
from winslow_dagster.services.readiness import read_state, state_file
from winslow_dagster.services.socket_probe import listens

PIPELINE = "name: one\ncommand: [sh, -c]\nstages:\n  - name: work\n    args: ['echo done']\n"

PACKAGE = Path(winslow_dagster.__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture
def stopped(tmp_path: Path) -> Installation:
    """An installation without services."""
    return Installation(tmp_path, None, {"one": PIPELINE}, new_interpreter=True)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, None, {"one": PIPELINE})
    made.up()
    yield made
    made.down()


def test_a_start_that_takes_long_is_waited_for_and_reported(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "REPORT_INTERVAL_S", 0.0)
    reports: list[str] = []
    frozen: list[int] = []
    reports_frozen = 5

    def report(text: str) -> None:
        reports.append(text)
        code_server = read_state(stopped.settings).get("services", {}).get("code-server")
        if code_server is not None and not frozen:
            os.kill(code_server, signal.SIGSTOP)
            frozen.extend([code_server, len(reports) + reports_frozen])
        elif frozen and len(reports) == frozen[1]:
            os.kill(frozen[0], signal.SIGCONT)

    services = Services(stopped.settings, report)
    with services.for_a_while() as address:
        assert services.running()
        assert address == stopped.settings.address
    assert reports[0] == "starting the services ..."
    whole_time_frozen = reports[frozen[1] - reports_frozen : frozen[1]]
    assert len(whole_time_frozen) == reports_frozen
    # It may have been frozen when it listened already: then what it serves is awaited.
    awaited = ("s): waiting for the code server", "s): waiting for the web server to load the pipelines")
    assert [text for text in whole_time_frozen if not text.endswith(awaited)] == []


def test_a_service_that_exits_again_and_again_ends_the_wait_with_its_log(
    stopped: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken" / "dagster_webserver"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise SystemExit('broken on purpose')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    services = Services(stopped.settings)
    with (
        pytest.raises(ServiceUnavailable, match="web-server exited 3 times while the services were starting") as error,
        services.for_a_while(),
    ):
        pytest.fail("the services started")
    assert error.value.where == str(stopped.settings.home / "logs" / "web-server.log")
    assert str(error.value.remedy).endswith("broken on purpose")
    assert not supervised(stopped.settings)


def test_services_that_are_stopped_by_someone_else_end_the_wait(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "REPORT_INTERVAL_S", 0.0)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "winslow_dagster.services"], env=stopped.environment, stderr=subprocess.DEVNULL
    )
    with supervisor:
        while not supervised(stopped.settings):
            assert supervisor.poll() is None
        services = Services(stopped.settings, lambda _text: supervisor.terminate())
        with pytest.raises(ServiceUnavailable, match="the services exited during their start"):
            services.wait_until_ready()


def test_up_says_which_service_exited_and_why(stopped: Installation) -> None:
    program = str(Path(sys.executable).with_name("winslow"))
    with subprocess.Popen([program, "up"], env=stopped.environment, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        assert next(line for line in up.stderr if line.startswith("ready: "))
        (web_server,) = stopped.service("web-server")
        os.kill(web_server, signal.SIGKILL)
        said = next(line for line in up.stderr if "exited" in line)
        log = stopped.settings.home / "logs" / "web-server.log"
        assert said == f"the web-server exited (Killed) and is started again; log: {log}\n"
        up.terminate()
        assert up.stderr.read() == ""
    assert up.returncode == 0


def test_services_start_again_at_once_after_their_supervisor_was_killed(running: Installation) -> None:
    for _ in range(5):
        killed = running.supervisor
        assert killed is not None
        killed.kill()
        killed.wait()
        running.up()
        assert running.services.running()


def test_a_process_like_one_from_before_the_machine_started_again_is_let_live(stopped: Installation) -> None:
    with subprocess.Popen(["sleep", "infinity"]) as other:
        state = {"boot_id": "an earlier one", "processes": [asdict(ProcessIdentity.of(other.pid))]}
        file = state_file(stopped.settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(state))
        stopped.up()
        assert other.poll() is None
        stopped.down()
        other.kill()


def test_a_port_that_another_program_has_is_named(stopped: Installation) -> None:
    with socket.create_server(("127.0.0.1", stopped.port)), pytest.raises(ServiceUnavailable) as caught:
        stopped.up()
    assert f"port {stopped.port} is in use" in str(caught.value)


def test_a_code_server_that_the_system_ended_serves_the_pipelines_again(running: Installation) -> None:
    killed = running.service("code-server")
    kill(killed)
    until(lambda: running.service("code-server") != killed and running.services.running(), "it serves again")
    with Winslow(running.settings) as winslow:
        winslow.run("one", project="ulm").wait()
        assert winslow.status("ulm").state == "succeeded"


def test_a_reload_reads_the_pipelines_again_and_ends_no_service(running: Installation) -> None:
    before = read_state(running.settings)["services"]
    dagster = running.dagster()
    assert "two" not in dagster.job_names()
    (running.settings.pipelines_dir / "two.yaml").write_text(PIPELINE.replace("name: one", "name: two"))
    (running.settings.pipelines_dir / "one.yaml").unlink()
    dagster.reload(LOCATION)
    assert "two" in dagster.job_names()
    assert "one" not in dagster.job_names()
    state = read_state(running.settings)
    assert (state["services"], state["exits"]) == (before, {})


@pytest.mark.parametrize("is_new", [False, True])
def test_what_the_code_server_cannot_load_is_shown_until_a_reload_succeeds(
    running: Installation, *, is_new: bool
) -> None:
    pipelines = running.settings.pipelines_dir
    aside = pipelines.rename(pipelines.with_name("aside"))
    pipelines.write_text("no directory")
    if is_new:
        killed = running.service("code-server")
        kill(killed)
        until(
            lambda: running.service("code-server") != killed and listens(code_socket(running.settings)),
            "another one has tried to load them",
        )
    with pytest.raises(PipelineInvalid, match="pipelines"):
        running.dagster().reload(LOCATION)
    assert not running.services.running()
    pipelines.unlink()
    aside.rename(pipelines)
    running.dagster().reload(LOCATION)
    assert running.services.running()


def test_a_service_that_ends_after_a_change_of_the_code_is_started_with_the_new_code(
    stopped: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    for name in ("dagster.yaml", "pyproject.toml"):
        shutil.copy(PACKAGE.with_name(name), code)
    monkeypatch.chdir(code)
    shutil.copytree(PACKAGE, code / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    stopped.up()
    try:
        killed = stopped.service("daemon")
        # The supervisor has imported this one.
        with (code / PACKAGE.name / "jobs" / "launcher.py").open("a") as file:
            file.write("\n# changed\n")
        kill(killed)
        until(lambda: stopped.service("daemon") not in ([], killed), "it is started again")
        (daemon,) = map(psutil.Process, stopped.service("daemon"))
        until(lambda: "winslow_dagster.services.hidden" in daemon.cmdline(), "by an interpreter of its own")
        assert daemon.ppid() == stopped.supervisor.pid
    finally:
        stopped.down()
