"""The stages in order, each as a separate process, and their cost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from tracker.simulation.camera import FIELD_OF_VIEW_DEG

from bench.tracker.films import Footage, films_dir

TO_TRAJECTORIES = (
    "extract_frame",
    "define_reference_points",
    "track_reference_points",
    "estimate_camera",
    "detect_vehicles",
    "track_vehicles",
    "detect_lanes",
    "export_trajectories",
)
LOOK_EVERY_S = 0.2
# The modules of an installed program are compiled; so are those of the first film here.
COMPILED_DIR = "compiled"
# The horizontal field of view of the simulated camera, which a user would know.
CAMERA = {"HORIZONTAL_FOV_DEG": f"{FIELD_OF_VIEW_DEG:g}"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a command: wall and processor time, and the largest sampled memory of its process tree."""

    wall_s: float
    cpu_s: float
    memory_bytes: int

    def mean(self, other: Cost) -> Cost:
        """Of both; the larger memory."""
        wall_s, cpu_s = (self.wall_s + other.wall_s) / 2, (self.cpu_s + other.cpu_s) / 2
        return Cost(wall_s, cpu_s, max(self.memory_bytes, other.memory_bytes))


def run_stage(
    film: Footage, outputs: Path, stage: str, *, output: Path | None = None, options: Sequence[str] = ()
) -> Cost:
    """Run one stage on the outputs of the earlier ones. Raises CalledProcessError."""
    directory = output or outputs / stage
    directory.mkdir(parents=True, exist_ok=True)
    files = ["--input", str(outputs), "--output", str(directory)]
    inputs = ["--video", str(film.video), "--reference-points", str(film.points)]
    words = [sys.executable, "-m", "tracker", stage.replace("_", "-"), *files, *inputs, *options]
    return cost(words, film.settings)


def run_chain(film: Footage, outputs: Path) -> dict[str, Cost]:
    """All stages up to the trajectories."""
    return {stage: run_stage(film, outputs, stage) for stage in TO_TRAJECTORIES}


def decoding(film: Footage) -> Cost:
    """Cost of decoding the film with FFmpeg and discarding the frames."""
    return cost(["ffmpeg", "-v", "error", "-i", str(film.video), "-f", "null", "-"])


def cost(words: Sequence[str], settings: Mapping[str, str] | None = None) -> Cost:
    """Run a command with these environment variables and return its cost. Raises CalledProcessError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    most = 0
    with subprocess.Popen(words, stdout=sys.stderr, env=_environment() | dict(settings or {})) as running:
        while running.poll() is None:
            most = max(most, _memory_bytes(running.pid))
            try:
                running.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
    wall_s = time.perf_counter() - began_s
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, most)


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, **CAMERA, "PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": str(films_dir() / COMPILED_DIR)}


def _memory_bytes(pid: int) -> int:
    """Of the process tree; shared memory counts once."""
    total = 0
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:
        return total
    return total
