"""The result of every detector: the oriented boxes of an image, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from tracker.arrays import Flags, Floats, Picture

# The possible classes; "" is unknown.
KINDS = ("car", "truck_bus", "two_wheeler")


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """N oriented boxes, one value per box in each column.

    Pixels count from the centre of the upper left one. `angle_rad` is the direction of the long axis modulo a half
    turn, clockwise from x as y points down. `score` is 0 to 1; `kind` holds members of KINDS, or "".
    """

    x_px: Floats
    y_px: Floats
    length_px: Floats
    width_px: Floats
    angle_rad: Floats
    score: Floats
    kind: Floats

    def __len__(self) -> int:
        return len(self.x_px)

    @classmethod
    def empty(cls) -> Boxes:
        """No boxes."""
        return cls(*(np.zeros(0, object if item.name == "kind" else np.float64) for item in fields(cls)))

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
