"""`make demo` reports the build of its image, and ends it together with itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from installation import until

ROOT = Path(__file__).parents[2]
BUILD = """#!/usr/bin/env bash
echo "Step 1/2 : RUN something that takes long"
tail --follow /dev/null &
echo $! >child.pid.new && mv child.pid.new child.pid
read -r outcome <finish
kill %1
exit "$outcome"
"""
PROGRAMS = {"docker": "#!/bin/sh\n", "winslow": '#!/bin/sh\necho "winslow $* in mode ${WINSLOW_STAGE_MODE:-auto}"\n'}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The script beside a build that lasts until it is told how to end, on a machine with Docker."""
    (tmp_path / "deploy" / "images").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "demo.sh", tmp_path / "deploy")
    add_program(tmp_path / "deploy" / "images" / "build.sh", BUILD)
    (tmp_path / "Makefile").write_text("setup:\n\t@:\n")
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        add_program(tmp_path / "bin" / name, text)
    os.mkfifo(tmp_path / "finish")
    return tmp_path


def add_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def as_on_a_terminal() -> None:
    """Also in the background of a shell, or under nohup: bash cannot trap a signal that it inherits as ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def demo(clone: Path) -> Iterator[subprocess.Popen[str]]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")}
    process = subprocess.Popen(
        ["deploy/demo.sh", "--project", "one"],
        cwd=clone,
        env=variables | {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_on_a_terminal,  # noqa: PLW1509  # one thread
    )
    with process:
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)


def child(clone: Path) -> psutil.Process:
    """What the build has started."""
    until((clone / "child.pid").exists, "the build runs")
    return psutil.Process(int((clone / "child.pid").read_text()))


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("outcome", "mode"), [("0", "auto"), ("1", "process")])
@pytest.mark.slow
def test_the_build_is_reported_while_it_lasts(
    clone: Path, demo: subprocess.Popen[str], outcome: str, mode: str
) -> None:
    assert demo.stdout is not None
    assert demo.stderr is not None
    child(clone)
    reported = next(line for line in demo.stderr if line.startswith("demo: building the stage image ("))
    assert reported.endswith(" s): Step 1/2 : RUN something that takes long\n")
    (clone / "finish").write_text(f"{outcome}\n")
    assert demo.stdout.read() == f"winslow demo --project one in mode {mode}\n"
    assert ("the stage image could not be built" in demo.stderr.read()) == (mode == "process")
    assert demo.wait() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_ctrl_c_leaves_nothing_running(
    clone: Path, demo: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    started = child(clone)
    os.killpg(demo.pid, number)
    out, _ = demo.communicate()
    assert (demo.returncode, out) == (code, "")
    until(lambda: ended(started), "what the build started has ended")
