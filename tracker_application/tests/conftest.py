"""A short film, rendered and analysed once for all tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rendered_film import Film

from tracker.cli import main


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Twelve seconds at 1280x720, with a seed that was not used for tuning."""
    directory = tmp_path_factory.mktemp("film")
    words = [
        "simulate",
        "--output",
        str(directory),
        "--seconds",
        "12",
        "--fps",
        "10",
        "--width",
        "1280",
        "--seed",
        "27",
    ]
    assert main(words) == 0
    return Film(directory, directory / "outputs")


@pytest.fixture(scope="session")
def film(rendered: Film) -> Film:
    """The film with the outputs of all stages."""
    words = ["run", "--video", str(rendered.video), "--reference-points", str(rendered.points)]
    assert main([*words, "--output", str(rendered.outputs)]) == 0
    return rendered


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The output directory of the stages, with points of a known length."""
    (tmp_path / "outputs").mkdir()
    known = {"known_length": {"from_px": [0, 0], "to_px": [100, 0], "length_m": 10}}
    (tmp_path / "points.json").write_text(json.dumps(known))
    return tmp_path / "outputs"
