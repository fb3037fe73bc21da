"""`python -m bench`: figures on stdout and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from processes import running

from bench.peers import environments

ROOT = Path(__file__).parents[2]
CHATTY = """
import subprocess
from bench.figure import Figure

def figures():
    print("said by the benchmark")
    subprocess.run(["echo", "said by its program"], check=True)
    yield Figure(name="speed", value=1.5, unit="ratio", goal="<= 1.8", holds=True)
    yield Figure(name="size", value=None, unit="MB", goal="", holds=None)
    yield Figure("peer", None, "ratio", "", None, "it cannot be installed: no network")
"""
LASTING = """
import subprocess
from bench.figure import Figure

def figures():
    with subprocess.Popen(["sleep", "infinity"]) as service:
        try:
            yield Figure("service", service.pid, "", "", None)
            input()
            {then}
        finally:
            service.kill()
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A copy of the frame with one benchmark in it."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "docs").mkdir()
    for name in ("__init__.py", "__main__.py", "figure.py", "table.py"):
        shutil.copy(ROOT / "bench" / name, tmp_path / "bench" / name)
    (tmp_path / "bench" / "chatty.py").write_text(CHATTY)
    return tmp_path


def run(directory: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *names]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("names", [(), ("chatty",)])
def test_each_figure_is_one_line_of_json_and_all_else_goes_to_stderr(bench: Path, names: tuple[str, ...]) -> None:
    ran = run(bench, *names)
    assert ran.returncode == 0
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [
        {"name": "speed", "value": 1.5, "unit": "ratio", "goal": "<= 1.8", "holds": True},
        {"name": "size", "value": None, "unit": "MB", "goal": "", "holds": None},
        {
            "name": "peer",
            "value": None,
            "unit": "ratio",
            "goal": "",
            "holds": None,
            "note": "it cannot be installed: no network",
        },
    ]
    assert not (bench / "docs" / "benchmarks.md").exists()
    assert "said by the benchmark" in ran.stderr
    assert "said by its program" in ran.stderr


@pytest.mark.parametrize(
    ("then", "ended_by"),
    [
        ("raise ValueError('wrong')", "its own error"),
        ("yield Figure('more', 1, '', '', None)", "nobody who reads on"),
        ("service.wait()", "SIGTERM"),
    ],
)
def test_however_a_benchmark_ends_its_services_end_with_it(bench: Path, then: str, ended_by: str) -> None:
    (bench / "bench" / "lasting.py").write_text(LASTING.format(then=then))
    command, pipe = [sys.executable, "-m", "bench", "lasting"], subprocess.PIPE
    with running(command, cwd=bench, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as ran:
        service = json.loads(ran.stdout.readline())["value"]
        ran.stdout.close()
        if ended_by == "SIGTERM":
            ran.terminate()
        else:
            ran.stdin.write("\n")
            ran.stdin.close()
    assert ran.returncode == (143 if ended_by == "SIGTERM" else 1)
    assert not psutil.pid_exists(service)


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(bench: Path) -> None:
    ran = run(bench, "chaty")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "no benchmark named chaty; available: chatty\n"


def test_a_table_replaces_the_earlier_one_of_its_benchmark_and_nothing_else(bench: Path) -> None:
    page = bench / "docs" / "benchmarks.md"
    assert run(bench, "--table", "chatty").returncode == 0
    first = page.read_text()
    assert "| speed | 1.5 | <= 1.8 | yes |  |" in first
    assert "| peer | not measured |  |  | it cannot be installed: no network |" in first
    page.write_text(first.replace("| 1.5 |", "| 9.9 |") + "\nWritten by hand.\n")
    assert run(bench, "--table", "chatty").returncode == 0
    assert page.read_text() == first + "\nWritten by hand.\n"


def test_a_peer_that_cannot_be_installed_or_fails_is_shown_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    absent = environments.Peer("absent", "luigi_tasks.py", ("/no/such/directory",))
    with pytest.raises(environments.PeerUnavailable, match=r"it cannot be installed: .*/no/such/directory"):
        environments.seconds_of(absent, "image", 1, 1)
    without_luigi = environments.Peer("broken", "luigi_tasks.py", ("pip",))
    with pytest.raises(environments.PeerUnavailable, match=r"it exited with 1: .*No module named 'luigi'"):
        environments.seconds_of(without_luigi, "image", 1, 1)
