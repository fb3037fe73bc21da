"""The crossroads as lanes and paths. World: metres, x east, y north, z up, origin in the middle of the junction.

An east-west road with two lanes each way meets a north-south road with one lane each way; traffic keeps right. Nobody
turns left from the wide road: who waits to do so would block its inner lane for the whole of a short film.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tracker.arrays import Floats

LANE_WIDTH_M = 3.5
REACH_M = 85.0
STOP_EAST_WEST_M = 10.5
STOP_NORTH_SOUTH_M = 14.5
EAST_WEST_HALF_WIDTH_M = 2 * LANE_WIDTH_M
NORTH_SOUTH_HALF_WIDTH_M = LANE_WIDTH_M
STEP_M = 0.25
TURN_SPEED_M_S = 6.0


@dataclass(frozen=True, eq=False)
class Path:
    """A way through the junction, from one end of the map to another.

    `points_m` is n x 2 at equal steps of arc length. `turn_m` is where the curve begins and ends.
    """

    approach: str
    movement: str
    points_m: Floats
    stop_m: float
    turn_m: tuple[float, float] = field(default=(math.inf, math.inf))

    @property
    def length_m(self) -> float:
        """Arc length."""
        return (len(self.points_m) - 1) * STEP_M

    @cached_property
    def headings_rad(self) -> Floats:
        """The direction at each point, counter-clockwise from east."""
        steps = np.gradient(self.points_m, axis=0)
        angles: Floats = np.arctan2(steps[:, 1], steps[:, 0])
        return angles

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """x, y and heading at an arc length."""
        place = min(max(distance_m / STEP_M, 0.0), len(self.points_m) - 1.001)
        index = int(place)
        rest = place - index
        x, y = self.points_m[index] * (1 - rest) + self.points_m[index + 1] * rest
        return float(x), float(y), float(self.headings_rad[index])

    def lane_at(self, distance_m: float) -> str:
        """The lane at an arc length: `west_in_2` comes from the west, second from the middle; none in the junction."""
        crossed = max(self.stop_m, self.turn_m[1]) if self.movement != "straight" else self.length_m - self.stop_m
        if self.stop_m <= distance_m <= crossed:
            return ""
        x, y = self.points_m[0 if distance_m < self.stop_m else -1]
        side = ("east" if x > 0 else "west") if abs(x) > abs(y) else ("north" if y > 0 else "south")
        place = math.ceil(min(abs(x), abs(y)) / LANE_WIDTH_M)
        return f"{side}_{'in' if distance_m < self.stop_m else 'out'}_{place}"


def _equal_steps(points: Floats) -> Floats:
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.arange(0.0, along[-1], STEP_M)
    return np.stack([np.interp(wanted, along, points[:, axis]) for axis in (0, 1)], axis=1)


def _curve(start: Floats, corner: Floats, end: Floats) -> Floats:
    """A cubic Bezier from `start` to `end` whose tangents meet in `corner`; close to a circle's quarter."""
    t = np.linspace(0, 1, 60)[:, None]
    inner = 0.55
    first, second = start + inner * (corner - start), end + inner * (corner - end)
    points: Floats = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end
    return points


def _turned(points: Floats, quarters: int) -> Floats:
    """Rotated counter-clockwise by quarter turns."""
    for _ in range(quarters):
        points = np.stack([-points[:, 1], points[:, 0]], axis=1)
    return points


def _path(approach: str, movement: str, entry_m: float, exit_m: float, stop_m: float, far_m: float) -> Path:
    """A path as seen by a driver who enters northwards at x = `entry_m`; `far_m` is where a straight road is reached.

    `exit_m` is the sideways place of the lane taken: x for straight on, y for a turn.
    """
    begin = np.array([entry_m, -REACH_M])
    if movement == "straight":
        whole = _equal_steps(np.array([begin, [exit_m, REACH_M]]))
        return Path(approach, movement, whole, REACH_M - stop_m)
    sign = 1.0 if movement == "right" else -1.0
    start, corner, end = (
        np.array([entry_m, -stop_m + 1.5]),
        np.array([entry_m, exit_m]),
        np.array([sign * far_m, exit_m]),
    )
    curve = _curve(start, corner, end)
    whole = _equal_steps(np.vstack([begin[None], curve, [[sign * REACH_M, exit_m]]]))
    bend = float(np.hypot(*np.diff(curve, axis=0).T).sum())
    first = REACH_M - stop_m + 1.5
    return Path(approach, movement, whole, REACH_M - stop_m, (first, first + bend))


def all_paths() -> tuple[Path, ...]:
    """Every way through the junction, with the approach it comes from (`south`: from the south, going north)."""
    half = LANE_WIDTH_M / 2
    outer, inner = 3 * half, half
    narrow, wide = (STOP_NORTH_SOUTH_M, STOP_EAST_WEST_M - 1), (STOP_EAST_WEST_M, STOP_NORTH_SOUTH_M - 1)
    quarters = {"south": 0, "north": 2, "west": 3, "east": 1}
    lanes = {
        "narrow": ((half, half, "straight"), (half, -outer, "right"), (half, inner, "left")),
        "wide": ((outer, outer, "straight"), (inner, inner, "straight"), (outer, -half, "right")),
    }
    paths = [
        (_path(approach, movement, entry, way_out, *sides), quarters[approach])
        for approaches, kind, sides in ((("south", "north"), "narrow", narrow), (("west", "east"), "wide", wide))
        for approach in approaches
        for entry, way_out, movement in lanes[kind]
    ]
    return tuple(
        Path(path.approach, path.movement, _turned(path.points_m, turns), path.stop_m, path.turn_m)
        for path, turns in paths
    )
