"""The sighting of a vehicle in a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tracker.arrays import Floats
from tracker.detectors.boxes import KINDS, Boxes
from tracker.detectors.overlap import corners_px
from tracker.foreground import Blob

# All boxes of the network when it looked at whole frames, faint ones too.
LOOKS_FILE = "looks.parquet"
# Standard deviations of positions in metres: by motion, by a part of what moves, by the network. Nine of ten derived
# positions lie within two standard deviations (rendered films).
MOTION_STD_M, SPLIT_STD_M, NETWORK_STD_M = 0.05, 0.1, 0.08


NO_CLASS_SCORES = (math.nan,) * len(KINDS)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A vehicle in a frame: the corners of its visible outline (4 x 2 pixels), and their source.

    `look_px` are the network's corners, if it saw this frame, too, and the outline is motion's. `class_scores` are the
    network's for each of KINDS, if it looked at this frame and tells them; otherwise NaN.
    """

    corners_px: Floats
    score: float
    kind: str
    source: str
    std_m: float
    look_px: Floats | None = None
    class_scores: tuple[float, ...] = NO_CLASS_SCORES

    @classmethod
    def of_blob(cls, blob: Blob) -> Sighting:
        """From a difference to the background; the score is its fill ratio."""
        return cls(blob.corners_px, blob.fill, "", "motion", MOTION_STD_M)


def sightings_of(boxes: Boxes) -> list[Sighting]:
    """From the network alone."""
    rows = zip(corners_px(boxes), boxes.score, boxes.kind, boxes.class_scores.tolist(), strict=True)
    return [
        Sighting(corners, float(score), str(kind), "network", NETWORK_STD_M, class_scores=tuple(each))
        for corners, score, kind, each in rows
    ]
