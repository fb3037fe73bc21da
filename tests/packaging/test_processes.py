"""Tests pass and end wherever they are started: in the background of a script, under nohup, by a job runner."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[2]
SHOWS_WHAT_A_CHILD_INHERITS = """
import signal, subprocess, sys
from processes import restore_signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
restore_signals()
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
sys.stdout.flush()
subprocess.run(["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"], check=True)
"""
WAITS_FOR_EVER = """
from processes import running
def test_waits():
    with running(["sleep", "infinity"]) as sleeper:
        print(f"pid={sleeper.pid}")
        sleeper.wait()
"""


def test_children_of_tests_have_the_signals_of_a_terminal_s_foreground() -> None:
    ran = subprocess.run(
        ["sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh", sys.executable, "-c", SHOWS_WHAT_A_CHILD_INHERITS],
        env={"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    is_default, blocked, ignored = ran.stdout.splitlines()
    assert (is_default, blocked) == ("True", "SigBlk:\t0000000000000000")
    # glibc keeps signals 32 and 33 to itself: what a job runner ignores of them, no program can change.
    ignored_by_number = {number for number in range(1, 65) if int(ignored.split()[1], 16) >> (number - 1) & 1}
    assert ignored_by_number - {32, 33} == {signal.SIGHUP}, "only HUP, so that nohup has its effect"


def test_a_property_is_not_judged_by_the_time_it_takes() -> None:
    assert settings().deadline is None


def test_a_test_at_its_time_limit_fails_and_leaves_no_process(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WAITS_FOR_EVER)
    ran = pytester.runpytest_subprocess("--timeout=1", f"--override-ini=pythonpath={ROOT / 'tests'}")
    ran.assert_outcomes(failed=1)
    (pid,) = (line.removeprefix("pid=") for line in ran.outlines if line.startswith("pid="))
    assert not Path("/proc", pid).exists()
