"""The shared rendered film."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Film:
    """A rendered film; `outputs` has one directory per stage."""

    directory: Path
    outputs: Path

    @property
    def video(self) -> Path:
        return self.directory / "video.mp4"

    @property
    def points(self) -> Path:
        return self.directory / "reference_points.json"

    @property
    def size(self) -> tuple[int, int]:
        frame = json.loads(self.points.read_text())["frame"]
        return frame["width_px"], frame["height_px"]
