"""A short film, rendered and analysed once for all tests, also where several processes run them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from rendered_film import Film

from tracker.cli import main


def made_once(directory: Path, words: Sequence[str]) -> None:
    """Run the tracker for this directory, unless another test process has done so."""
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory.with_suffix(".done")
        if not done.exists():
            assert main([*words, "--output", str(directory)]) == 0
            done.touch()


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Twelve seconds at 1280x720, with a seed that was not used for tuning."""
    own = tmp_path_factory.getbasetemp()
    directory = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "film"
    directory.mkdir(exist_ok=True)
    words = ["simulate", "--seconds", "12", "--fps", "10", "--width", "1280", "--seed", "27"]
    made_once(directory, words)
    return Film(directory, directory / "outputs")


@pytest.fixture(scope="session")
def film(rendered: Film) -> Film:
    """The film with the outputs of all stages."""
    made_once(rendered.outputs, ["run", "--video", str(rendered.video), "--reference-points", str(rendered.points)])
    return rendered


@pytest.fixture(autouse=True)
def one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages in the process of a test have one CPU: with short films, workers take longer to start than to work.

    Tests of several workers say how many, and the shared film is made with all CPUs.
    """
    monkeypatch.setenv("WINSLOW_CPUS", "1")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The output directory of the stages, with points of a known length."""
    (tmp_path / "outputs").mkdir()
    known = {"known_length": {"from_px": [0, 0], "to_px": [100, 0], "length_m": 10}}
    (tmp_path / "points.json").write_text(json.dumps(known))
    return tmp_path / "outputs"
