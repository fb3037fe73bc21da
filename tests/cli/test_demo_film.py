"""The film of `winslow demo` is rendered in the background, once."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from winslow_dagster.errors import StageFailed
from winslow_dagster.projects.commands import demo
from winslow_dagster.projects.commands.demo import SIMULATED, rendering

SMALL_FILM = ("--road-polygon", "--width", "320", "--seconds", "1", "--seed", "10")
"""That of the demo takes most of a minute of one core."""


@pytest.mark.slow
def test_a_film_is_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FILM", SMALL_FILM)
    directory = tmp_path / "demo"
    inputs = {name: directory / file for name, file in SIMULATED.items()}
    with rendering(tmp_path, str) as wait:
        assert wait() == inputs
    files = {name: (directory / name).stat().st_mtime_ns for name in SIMULATED.values()}
    with rendering(tmp_path, str) as wait:
        assert wait() == inputs
    assert {name: (directory / name).stat().st_mtime_ns for name in SIMULATED.values()} == files
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_rendering_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with rendering(tmp_path / "file", str) as wait, pytest.raises(StageFailed, match="Not a directory"):
        wait()


def test_rendering_ends_with_whoever_wanted_the_film(tmp_path: Path) -> None:
    others = set(psutil.Process().children())  # of earlier tests in this process
    with rendering(tmp_path, str):
        (renderer,) = set(psutil.Process().children()) - others
        assert renderer.cmdline()[2] == "simulate"
    assert not renderer.is_running()
    assert not (tmp_path / "demo").exists()
