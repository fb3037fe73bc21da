"""The fork server."""

from __future__ import annotations

import json
import logging
import os
import site
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from patience import until, until_ended
from processes import running
from starting_place import ENVIRONMENT, Place

from winslow_dagster.engines.fork_server import installed
from winslow_dagster.engines.spawn import (
    ProcessIdentity,
    Start,
    read_message,
    short_address,
    start_by_fork,
)


def was_forked(caplog: pytest.LogCaptureFixture) -> bool:
    return not any("plain start" in record.message for record in caplog.records)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="winslow_dagster.engines.spawn")


def test_a_preloaded_module_is_not_imported_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.module("costly", "import os\nopen('imported', 'a').write(f'{os.getpid()} ')\n")
    place.module("user", "import costly\n")

    with place.server("costly") as server:
        for _ in range(3):
            until_ended(place.spawn("user"))

        assert (place.path / "imported").read_text().split() == [str(server.pid)]
    assert was_forked(caplog)


def test_a_module_that_was_preloaded_itself_runs_as_the_main_one(place: Place) -> None:
    place.module("both", "import sys\nif __name__ == '__main__':\n    print(sorted(sys.argv[1:]))\n")

    with place.server("both"):
        until_ended(place.spawn("both", "b", "a"))

    assert place.log.read_text() == "['a', 'b']\n"


def test_only_its_owner_may_use_the_socket(place: Place) -> None:
    with place.server():
        assert stat.S_IMODE(place.socket.stat().st_mode) == 0o600


def test_nothing_is_sent_to_a_socket_in_a_directory_that_others_may_use(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.server():
        place.path.chmod(0o777)
        assert place.report()["state"] == 1
        assert "others may use this directory" in caplog.text


def test_a_socket_at_a_path_longer_than_the_kernel_takes_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir(mode=0o700)
    place = Place(deep)

    with place.server():
        place.report()

    assert was_forked(caplog)


def test_children_live_on_when_the_server_is_killed_and_the_next_start_is_plain(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.server() as server:
        sleeper = place.spawn("sleeper")
        assert was_forked(caplog)
        server.kill()
        server.wait()

        assert sleeper.alive()
        assert place.report()["state"] == 1
        assert not was_forked(caplog)
    sleeper.kill()
    until_ended(sleeper)


def test_a_new_server_replaces_a_killed_one(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    with place.server() as server:
        server.kill()
    assert place.socket.exists()

    with place.server():
        place.report()

    assert was_forked(caplog)


def test_a_second_server_at_the_same_socket_leaves_at_once(place: Place) -> None:
    with place.server() as first, place.server(ready=False) as second:
        _, message = second.communicate()

        assert second.returncode == 1
        assert b"another fork server is running" in message
        assert first.poll() is None
        assert place.answers()


def test_it_ends_with_its_supervisor_and_its_children_do_not(place: Place) -> None:
    with running(["sleep", "1000"]) as supervisor, place.server(parent_pid=supervisor.pid) as server:
        sleeper = place.spawn("sleeper")
        supervisor.kill()

        assert server.wait() == 0
        assert not place.socket.exists()
        assert sleeper.alive()
        sleeper.kill()
        until_ended(sleeper)


def test_it_does_not_start_without_a_supervisor(place: Place) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()

    with place.server(parent_pid=gone.pid, ready=False) as server:
        assert b"supervisor" in server.communicate()[1]
        assert server.returncode == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='Ada', daemon=True).start()",
            b"Ada",
        ),
        ("import not_there_at_all", b"not_there_at_all"),
    ],
)
def test_a_module_that_must_not_be_preloaded_is_named(place: Place, text: str, message: bytes) -> None:
    place.module("unfit", text)

    with place.server("unfit", ready=False) as server:
        errors = server.communicate()[1]

    assert server.returncode == 1
    assert message in errors
    assert b"unfit" in errors


@pytest.mark.slow
def test_two_hundred_quick_starts_leave_no_zombie_and_no_descriptor(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.module("quick", "import sys\nopen(sys.argv[1], 'x').close()\n")
    with place.server() as server:
        watched = psutil.Process(server.pid)
        descriptors = watched.num_fds()

        started = [place.spawn("quick", f"mark{number}") for number in range(200)]
        for process in started:
            until_ended(process)

        assert len(list(place.path.glob("mark*"))) == 200
        assert len({process.pid for process in started}) == 200
        assert watched.children() == []
        assert watched.num_fds() <= descriptors
        assert watched.num_threads() == 1
    assert was_forked(caplog)


def test_changed_code_is_never_run_in_its_old_form(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.module("answer", "value = 'old'\n")
    place.module("asks", "import answer\nprint(answer.value)\n")

    with place.server("answer") as server:
        until_ended(place.spawn("asks"))
        assert was_forked(caplog)
        place.module("answer", "value = 'newer'\n")

        until_ended(place.spawn("asks"))
        assert not was_forked(caplog)

        until("the server has restarted", place.answers)
        caplog.clear()
        until_ended(place.spawn("asks"))
        assert was_forked(caplog)
        assert server.poll() is None
    assert place.log.read_text().split() == ["old", "newer", "newer"]


@pytest.mark.slow
def test_no_start_is_lost_or_made_twice_while_the_server_restarts_again_and_again(place: Place) -> None:
    place.module("answer", "value = 0\n")
    place.module("marks", "import sys\nopen(sys.argv[1], 'x').close()\n")
    names = [f"mark{number}" for number in range(120)]

    def start(name: str) -> ProcessIdentity:
        if name.endswith("0"):
            place.module("answer", f"value = {name!r} * 10\n")
        return place.spawn("marks", name)

    with place.server("answer") as server, ThreadPoolExecutor(4) as callers:
        for process in callers.map(start, names):
            until_ended(process)
        assert server.poll() is None

    assert {path.name for path in place.path.glob("mark*[0-9]")} == set(names)
    assert place.log.read_text() == ""


def test_compiled_code_that_an_import_writes_among_the_packages_is_no_change(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.server():
        for directory in site.getsitepackages():
            os.utime(directory)
        place.report()
    assert was_forked(caplog)


@pytest.mark.parametrize(
    ("event", "change"),
    [
        (lambda packages: (packages / "__pycache__").mkdir(), False),
        (lambda packages: (packages / "beads").mkdir(), True),
        (lambda packages: (packages / "beads.py").touch(), True),
        (lambda packages: os.utime(packages / "six-1.dist-info", (1, 1)), True),
        (lambda packages: (packages / "six-1.dist-info").rename(packages / "six-2.dist-info"), True),
        (lambda packages: (packages / "editable.pth").write_text("elsewhere"), True),
    ],
)
def test_what_an_installer_does_among_the_packages_is_a_change(
    tmp_path: Path, event: Callable[[Path], object], *, change: bool
) -> None:
    (tmp_path / "six-1.dist-info").mkdir()
    (tmp_path / "editable.pth").write_text("here")
    before = installed(str(tmp_path))
    event(tmp_path)
    assert (installed(str(tmp_path)) != before) is change


@pytest.mark.parametrize("name", ["PYTHONUTF8", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG"])
def test_a_variable_that_only_a_new_interpreter_reads_makes_a_plain_start(
    place: Place, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    env = {**ENVIRONMENT, name: f"{place.path}:{ENVIRONMENT['PYTHONPATH']}" if "PATH" in name else "1"}

    with place.server():
        assert place.report(env=env)["env"] == env

    assert not was_forked(caplog)
    assert name in caplog.text


def test_a_child_whose_caller_went_away_before_the_answer_does_not_run(place: Place) -> None:
    place.module("marks", "open('ran', 'x').close()\n")
    start = Start("marks", (), ENVIRONMENT, str(place.path), str(place.path / "log"))

    with place.server(), socket.socket(socket.AF_UNIX) as caller, short_address(place.socket) as address:
        caller.connect(address)
        caller.sendall(json.dumps(asdict(start)).encode() + b"\n")
        answer = read_message(caller)
        child = ProcessIdentity(answer["pid"], answer["create_time"])
        assert child.alive()
        caller.close()

        until_ended(child)
    assert not (place.path / "ran").exists()


@pytest.mark.parametrize(
    "request_line", [b"", b"\n", b"nonsense\n", b"[]\n", b'{"module": "reporter"}\n', b'{"a": 1}\n']
)
def test_a_malformed_request_does_no_harm(place: Place, request_line: bytes) -> None:
    with place.server() as server:
        with socket.socket(socket.AF_UNIX) as caller, short_address(place.socket) as address:
            caller.connect(address)
            caller.sendall(request_line)
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100) == b""

        assert place.report()["state"] == 1
        assert server.poll() is None


def test_the_server_serves_its_own_python_only(place: Place) -> None:
    start = Start("reporter", ("x",), ENVIRONMENT, str(place.path), os.devnull, python="/usr/bin/python")

    with place.server(), pytest.raises(Exception, match=f"another Python: {sys.executable}"):
        start_by_fork(place.socket, start)
