"""Processes start in the same way with a fork server and without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
from patience import until, until_ended
from processes import running
from starting_place import ENVIRONMENT, Place

from winslow_dagster.engines.spawn import ProcessIdentity
from winslow_dagster.errors import EngineError

CALLER = """
import os, sys
from pathlib import Path
from winslow_dagster.engines.spawn import spawn_detached
here = Path.cwd()
started = spawn_detached(
    "sleeper", [], env=dict(os.environ), cwd=here, log_path=here / "log", fork_server_socket=here / "fork_server.sock"
)
print(started.pid, started.create_time, flush=True)
os.kill(os.getpid(), 9)
"""


def test_the_process_has_exactly_the_given_environment_arguments_and_directory(start: Place) -> None:
    env = {**ENVIRONMENT, "EMPTY": "", "ÜMLAUT": "straße\n", "TZ": "Asia/Tokyo"}

    report = start.report("--flag", "zwei Wörter", "", env=env)

    assert report["env"] == env
    assert report["argv"][1:] == ["--flag", "zwei Wörter", ""]
    assert report["file"] == str(start.path / "reporter.py")
    assert report["cwd"] == report["path"] == str(start.path)
    assert report["main"] == "__main__"


def test_it_leads_its_own_session_and_is_no_child_of_the_caller(start: Place) -> None:
    report = start.report()

    assert report["session"] == report["group"] == report["pid"]
    assert report["parent"] != os.getpid()
    assert psutil.Process().children() == [child for child in psutil.Process().children() if child.pid != report["pid"]]


def test_nothing_but_its_three_streams_is_open_in_it(start: Place) -> None:
    with (start.path / "open in the caller").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003  # its only parameter

        report = start.report()

    assert report["fds"] == [0, 1, 2]
    assert report["stdin"] == ""


def test_stdout_and_stderr_are_appended_to_its_log_to_the_very_end(start: Place) -> None:
    start.report()
    start.report()

    lines = start.log.read_text().splitlines()

    assert sorted(lines) == sorted(["on stdout", "from a thread", "at exit"] * 2)


def test_its_signals_are_those_of_a_fresh_python(start: Place) -> None:
    show = "import signal; print({s.name: str(signal.getsignal(s)).split(' at ')[0] for s in signal.Signals if s < 34})"
    # Under nohup, this process ignores SIGHUP, and the fresh Python would inherit that.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fresh = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        report = start.report()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGHUP, before)

    assert report["handlers"] == eval(fresh)
    assert report["masked"] == 0


def test_process_lists_show_what_it_runs(start: Place) -> None:
    report = start.report("argument")

    assert report["command"] == f"{sys.executable} -m reporter {start.path}/report1 argument"


def test_no_two_processes_share_random_numbers_or_state(start: Place) -> None:
    reports = [start.report() for _ in range(3)]

    assert len({one["random"] for one in reports}) == 3
    assert {one["state"] for one in reports} == {1}


def test_it_survives_the_kill_of_its_caller(start: Place) -> None:
    caller = subprocess.run(
        [sys.executable, "-c", CALLER], cwd=start.path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    pid, create_time = caller.stdout.split()
    sleeper = ProcessIdentity(int(pid), float(create_time))

    assert caller.returncode == -signal.SIGKILL
    assert sleeper.alive()
    sleeper.kill()
    until_ended(sleeper)


def test_a_process_that_fails_leaves_its_traceback_in_the_log(start: Place) -> None:
    start.module("failing", "raise RuntimeError('as it must')\n")

    until_ended(start.spawn("failing"))

    assert "RuntimeError: as it must" in start.log.read_text()


def test_a_missing_module_is_reported_in_the_log(start: Place) -> None:
    until_ended(start.spawn("no_such_module"))

    assert "no_such_module" in start.log.read_text()


def test_a_missing_directory_is_an_error_of_the_start(start: Place) -> None:
    start.path = start.path / "nowhere"

    with pytest.raises(EngineError, match=r"reporter could not be started.*nowhere"):
        start.spawn("reporter", "target")


def test_a_log_that_cannot_be_written_is_an_error_of_the_start(start: Place) -> None:
    start.log.mkdir(parents=True)

    with pytest.raises(EngineError, match=r"reporter could not be started.*of the child.log"):
        start.spawn("reporter", "target")


def test_terminate_ends_it(start: Place) -> None:
    sleeper = start.spawn("sleeper")
    until("it sleeps", lambda: start.log.exists() and "asleep" in start.log.read_text())

    assert sleeper.alive()
    sleeper.terminate()
    until_ended(sleeper)
    sleeper.terminate()
    sleeper.kill()


def test_another_process_under_the_same_pid_is_not_taken_for_it(start: Place) -> None:
    sleeper = start.spawn("sleeper")
    earlier = ProcessIdentity(sleeper.pid, sleeper.create_time - 1)

    earlier.kill()

    assert not earlier.alive()
    assert sleeper.alive()
    sleeper.kill()
    until_ended(sleeper)


def test_a_zombie_is_dead() -> None:
    with running([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        born = psutil.Process(child.pid)
        identity = ProcessIdentity(child.pid, born._proc.create_time(monotonic=True))
        assert identity.alive()
        child.kill()
        until("it is a zombie", lambda: born.status() == psutil.STATUS_ZOMBIE)
        assert not identity.alive()
