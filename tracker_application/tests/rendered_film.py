"""What the tests know of the film they share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Film:
    """A rendered film; `made` holds one directory a stage."""

    directory: Path
    made: Path

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
