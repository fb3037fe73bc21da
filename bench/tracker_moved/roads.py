"""Roads in the real pictures, drawn by hand, and how traffic moves on them.

Everything is in pixels of the picture. What stands beside the roads, or on none of them, stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tracker.arrays import Floats

# Roads begin and end this far outside of the picture, so that whole vehicles come and go.
BEYOND_M = 15.0
# Within this much of a bend, vehicles turn gradually.
BEND_M = 3.0


@dataclass(frozen=True, eq=False)
class Road:
    """Its corners in driving direction. Labelled vehicles within `half_width` of it are its traffic.

    All drive alike and keep their distances, so that none touches another: at `speed_m_s`, and around `stops_at_s`, if
    that is given, they brake, wait, and go on.
    """

    corners: tuple[tuple[float, float], ...]
    half_width: float
    speed_m_s: float
    stops_at_s: float | None = None

    def on(self, pixel_m: float) -> Course:
        """The road in a picture of this scale."""
        places = np.array(self.corners, np.float64)
        beyond = BEYOND_M / pixel_m
        first, last = places[0] - places[1], places[-1] - places[-2]
        places[0] += first / np.hypot(*first) * beyond
        places[-1] += last / np.hypot(*last) * beyond
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
        at = np.arange(0.0, along[-1])
        fine = np.column_stack([np.interp(at, along, axis) for axis in places.T])
        half = round(BEND_M / pixel_m)
        window = np.ones(2 * half + 1) / (2 * half + 1)
        smooth = np.column_stack([np.convolve(np.pad(axis, half, "reflect", reflect_type="odd"), window, "valid")
                                  for axis in fine.T])  # fmt: skip
        steps = np.gradient(smooth, axis=0)
        return Course(self, smooth, np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))

    def speed(self, time_s: float) -> float:
        """Metres per second."""
        if self.stops_at_s is None:
            return self.speed_m_s
        waits_s, brakes_s = 1.5, 4.0
        return self.speed_m_s * float(np.clip((abs(time_s - self.stops_at_s) - waits_s) / brakes_s, 0, 1))


@dataclass(frozen=True, eq=False)
class Course:
    """Places (n x 2) and directions (radians, from x, y down) of a road, about a pixel apart."""

    road: Road
    places: Floats
    directions: Floats

    def nearest(self, place: Floats) -> tuple[float, float]:
        """How far along the road a place is, and how far to its right."""
        row = int(np.hypot(*(self.places - place).T).argmin())
        apart, direction = place - self.places[row], self.directions[row]
        return float(row), float(apart[1] * np.cos(direction) - apart[0] * np.sin(direction))

    def at(self, along: float, aside: float) -> tuple[Floats, float]:
        """The place, and the direction there."""
        row = min(int(along), len(self.places) - 2)
        share = along - row
        x, y = (1 - share) * self.places[row] + share * self.places[row + 1]
        direction = float((1 - share) * self.directions[row] + share * self.directions[row + 1])
        return np.array([x - aside * np.sin(direction), y + aside * np.cos(direction)]), direction


ROADS = {
    "munich_c_165.jpg": (
        Road(((1764, 225), (1400, 219), (950, 216), (632, 204), (350, 194), (150, 200), (0, 208)), 11, 11, 9),
        Road(((1764, 249), (1400, 242), (950, 239), (482, 222), (370, 218), (150, 222), (0, 230)), 11, 13),
        Road(((0, 268), (130, 280), (300, 287), (686, 295), (867, 293), (1040, 296), (1400, 306), (1764, 312)), 11, 12),
        Road(((0, 295), (130, 306), (300, 312), (686, 318), (1020, 315), (1400, 328), (1764, 335)), 11, 10, 12),
    ),
    "munich_b_080.jpg": (
        Road(((1284, 190), (1000, 150), (720, 124), (490, 107), (340, 102), (0, 108)), 10, 10),
        Road(((1284, 215), (1000, 175), (720, 148), (575, 133), (490, 128), (130, 132), (0, 138)), 10, 12, 8),
        Road(((1284, 238), (1000, 200), (720, 172), (558, 158), (300, 158), (0, 165)), 10, 8),
        Road(((0, 188), (300, 190), (492, 192), (720, 205), (1000, 230), (1284, 265)), 10, 11, 11),
    ),
    "songdo_00003.jpg": (
        Road(((3840, 1165), (3400, 1185), (2855, 1205), (2320, 1190), (1450, 1215), (745, 1240), (0, 1280)), 90, 12, 9),
        Road(((0, 1480), (420, 1465), (1200, 1400), (2400, 1390), (3840, 1360)), 110, 11),
    ),
    "songdo_00972.jpg": (
        Road(((3840, 560), (0, 560)), 150, 11),
        Road(((0, 1490), (3840, 1490)), 140, 10, 8),
    ),
}  # fmt: skip
