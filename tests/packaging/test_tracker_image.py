"""The image of the TrackerApplication is small, and every stage runs in it."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest
from tracker_image import tracker_image

MOST_BYTES = 450_000_000

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def image() -> str:
    return tracker_image()


def tracker(image: str, directory: Path, *words: str) -> None:
    """Run the program as Winslow does: as this user, without network and privileges."""
    limits = ["--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    mounted = ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{directory}:/work"]
    ran = subprocess.run(
        ["docker", "run", "--rm", *limits, *mounted, image, *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]


def test_the_image_is_small(image: str) -> None:
    size = ["docker", "image", "inspect", "--format", "{{.Size}}", image]
    assert int(subprocess.run(size, capture_output=True, text=True, check=True).stdout) <= MOST_BYTES


@pytest.mark.timeout(1200)
def test_every_stage_runs_in_the_image(image: str, tmp_path: Path) -> None:
    tracker(image, tmp_path, "simulate", "--output", "/work/film", "--seconds", "4", "--fps", "10", "--width", "960")
    film = ["--video", "/work/film/video.mp4", "--reference-points", "/work/film/reference_points.json"]
    tracker(image, tmp_path, "run", *film, "--output", "/work/out")
    with (tmp_path / "out" / "export_trajectories" / "trajectories.csv").open() as file:
        assert len({row["track_id"] for row in csv.DictReader(file)}) > 2
    charts = {path.suffix for path in (tmp_path / "out" / "create_charts").iterdir()}
    assert charts == {".csv", ".html", ".json", ".png", ".svg"}
    assert (tmp_path / "out" / "record_video" / "result.mp4").stat().st_size > 100_000


def test_nothing_is_compiled_again_when_a_stage_starts(image: str) -> None:
    verbose = ["--entrypoint", "python", image, "-v", "-c", "import tracker.stages.create_charts"]
    ran = subprocess.run(["docker", "run", "--rm", *verbose], capture_output=True, text=True, check=True)
    origins = [
        line.removeprefix("# code object from ").strip("'") for line in ran.stderr.splitlines() if "object from" in line
    ]
    assert any("/tracker/stages/create_charts." in origin for origin in origins)
    assert [origin for origin in origins if not origin.startswith("/opt/compiled/")] == []
