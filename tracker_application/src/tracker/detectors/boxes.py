"""The result of every detector: the oriented boxes of an image, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from tracker.arrays import Flags, Floats, Picture

# The possible classes; "" is unknown.
KINDS = ("car", "truck_bus", "two_wheeler")
# Columns of `detections.parquet` with the network's score for each of them, in this order.
CLASS_SCORES = tuple(f"{kind}_score" for kind in KINDS)


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """N oriented boxes, one value per box in each column.

    Pixels count from the centre of the upper left one. `angle_rad` is the direction of the long axis modulo a half
    turn, clockwise from x as y points down. `score` is 0 to 1; `kind` holds members of KINDS, or "". `class_scores` is
    n x 3, the score as each of KINDS; NaN if the detector tells only the best one, which is the default.
    """

    x_px: Floats
    y_px: Floats
    length_px: Floats
    width_px: Floats
    angle_rad: Floats
    score: Floats
    kind: Floats
    class_scores: Floats = field(default_factory=lambda: np.zeros((0, len(KINDS))))

    def __post_init__(self) -> None:
        if not self.class_scores.size:
            object.__setattr__(self, "class_scores", np.full((len(self.x_px), len(KINDS)), np.nan))

    def __len__(self) -> int:
        return len(self.x_px)

    @classmethod
    def empty(cls) -> Boxes:
        """No boxes."""
        nothing = np.zeros(0)
        return cls(nothing, nothing, nothing, nothing, nothing, nothing, np.zeros(0, object))

    @classmethod
    def joined(cls, parts: Sequence[Boxes]) -> Boxes:
        """Concatenate boxes."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)))

    def select(self, which: Flags) -> Boxes:
        """Select by mask or indices."""
        return Boxes(*(getattr(self, item.name)[which] for item in fields(self)))


class Detector(Protocol):
    """Detects vehicles in an image; created for a given pixel size on the ground."""

    def detect(self, picture: Picture) -> Boxes:
        """The vehicles in an image of bytes, height x width x 3, BGR."""
        ...
