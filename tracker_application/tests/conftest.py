"""One short film, rendered and analysed once for all tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rendered_film import Film

from tracker.cli import main


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Twelve seconds at 1280x720; a seed that no parameter was chosen with."""
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
    return Film(directory, directory / "made")


@pytest.fixture(scope="session")
def film(rendered: Film) -> Film:
    """The film, with what all nine stages made of it."""
    words = ["run", "--video", str(rendered.video), "--reference-points", str(rendered.points)]
    assert main([*words, "--output", str(rendered.made)]) == 0
    return rendered


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Where the stages write, with points of a known length."""
    (tmp_path / "made").mkdir()
    known = {"known_length": {"from_px": [0, 0], "to_px": [100, 0], "length_m": 10}}
    (tmp_path / "points.json").write_text(json.dumps(known))
    return tmp_path / "made"
