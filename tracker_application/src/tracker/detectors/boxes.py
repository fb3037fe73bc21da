"""What every detector gives: oriented boxes of one picture, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from tracker.arrays import Flags, Floats, Picture

# What a box can be; "" is not known.
KINDS = ("car", "truck_bus", "two_wheeler")


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """N oriented boxes, one value a box in each column.

    Pixels count from the centre of the upper left one. `angle_rad` is the direction of the long axis, either way round,
    clockwise from x as y points down. `score` is 0 to 1; `kind` holds texts of KINDS, or "".
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
        """All boxes of several, in that order."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)))

    def select(self, which: Flags) -> Boxes:
        """Those that a mask or a list of rows names, in its order."""
        return Boxes(*(getattr(self, item.name)[which] for item in fields(self)))


class Detector(Protocol):
    """Finds vehicles in one picture; how long a pixel is on the ground, it is told when it is made."""

    def detect(self, picture: Picture) -> Boxes:
        """The vehicles in a picture of bytes, height x width x 3, blue first."""
        ...
