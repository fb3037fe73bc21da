"""`python -m bench`: figures on stdout and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHATTY = """
import subprocess
from bench.figure import Figure

def figures():
    print("said by the benchmark")
    subprocess.run(["echo", "said by its program"], check=True)
    yield Figure(name="speed", value=1.5, unit="ratio", goal="<= 1.8", holds=True)
    yield Figure(name="size", value=None, unit="MB", goal="", holds=None)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A copy of the frame with one benchmark in it."""
    (tmp_path / "bench").mkdir()
    for name in ("__init__.py", "__main__.py", "figure.py"):
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
    ]
    assert "said by the benchmark" in ran.stderr
    assert "said by its program" in ran.stderr


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(bench: Path) -> None:
    ran = run(bench, "chaty")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "no benchmark named chaty; available: chatty\n"
