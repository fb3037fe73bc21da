"""The rendered films for measuring the tracker, with ground truth."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FILMS_DIR = "WINSLOW_BENCH_FILMS"
"""Rendering takes longer than measuring: films are kept in the directory in this variable and reused."""
RATE_FPS = 30
LENS = "--lens-k1"


def films_dir() -> Path:
    """Where films are kept."""
    return Path(os.environ.get(FILMS_DIR, "/var/tmp/winslow-bench-films"))


class Footage(Protocol):
    """What the stages read."""

    @property
    def video(self) -> Path:
        """The film."""
        ...

    @property
    def points(self) -> Path:
        """The reference points."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """What a user would set for it, as environment variables."""
        ...


@dataclass(frozen=True, slots=True)
class Film:
    """A film. Parameters were chosen with `tune` films only; `test` films measure the result."""

    name: str
    seed: int
    seconds: float
    options: tuple[str, ...]

    def directory(self) -> Path:
        """Its directory."""
        return films_dir() / self.name

    @property
    def video(self) -> Path:
        """The footage."""
        return self.directory() / "video.mp4"

    @property
    def points(self) -> Path:
        """Reference points as a person would click them, to half a pixel."""
        return self.directory() / "reference_points.json"

    @property
    def settings(self) -> Mapping[str, str]:
        """The lens, if it distorts."""
        named = dict(zip(self.options, self.options[1:], strict=False))
        return {"LENS_K1": named[LENS]} if LENS in named else {}

    def rendered(self) -> Film:
        """Render the film unless it exists; returns itself."""
        directory = self.directory()
        if not (directory / "truth.csv").exists():
            print(f"bench: rendering {self.name}", file=sys.stderr)
            directory.parent.mkdir(parents=True, exist_ok=True)
            unfinished = directory.with_name(f"{directory.name}.unfinished")
            words = ["--output", str(unfinished), "--seconds", str(self.seconds), "--fps", str(RATE_FPS)]
            subprocess.run(
                [sys.executable, "-m", "tracker", "simulate", *words, "--seed", str(self.seed), *self.options],
                check=True,
                stdout=sys.stderr,
            )
            unfinished.replace(directory)
        return self

    def in_a_row(self, times: int) -> Film:
        """The film repeated without re-encoding: for speed and memory, not for accuracy."""
        long = Film(f"{self.name}_{times}_times", self.seed, times * self.seconds, self.options)
        if not long.video.exists():
            long.directory().mkdir(parents=True, exist_ok=True)
            names = long.directory() / "names.txt"
            names.write_text(f"file '{self.video}'\n" * times, encoding="utf-8")
            unfinished = long.video.with_suffix(".unfinished.mp4")
            words = ["ffmpeg", "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(names), "-c", "copy"]
            subprocess.run([*words, str(unfinished)], check=True, stdout=sys.stderr)
            shutil.copy(self.points, long.points)
            unfinished.replace(long.video)
        return long


def _film(name: str, seed: int, seconds: float, *options: str) -> Film:
    return Film(name, seed, seconds, ("--width", "3840", *options))


CROSSROADS, STRAIGHT = ("--scene", "crossroads"), ("--scene", "straight")
FILMS = (
    _film("cross_tune", 110, 40, *CROSSROADS, "--bitrate-mbit-s", "50"),
    _film("cross_test", 210, 40, *CROSSROADS, "--bitrate-mbit-s", "100"),
    _film(
        "cross_hard", 230, 40, *CROSSROADS, "--bitrate-mbit-s", "20", LENS, "-0.02", "--lighting", "clouds",
        "--trees", "swaying",
    ),
    _film("straight_tune", 120, 25, *STRAIGHT, "--bitrate-mbit-s", "50"),
    _film("straight_test", 220, 25, *STRAIGHT, "--bitrate-mbit-s", "100"),
)  # fmt: skip
# So short that starting ten programs counts.
SHORT = _film("cross_short", 110, 10, *CROSSROADS, "--bitrate-mbit-s", "50")
