"""The scenes as lanes and paths. World: metres, x east, y north, z up, origin at the centre; right-hand traffic.

`crossroads`: an east-west road with two lanes each way meets a north-south road with one lane each way. There are no
left turns from the wide road; each end of the narrow road has its own green phase. `straight`: three lanes each way and
a signalised pedestrian crossing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Floats
from tracker.errors import ParameterInvalid

LANE_WIDTH_M = 3.5
REACH_M = 85.0
STOP_EAST_WEST_M = 10.5
STOP_NORTH_SOUTH_M = 14.5
STOP_STRAIGHT_M = 6.0
EAST_WEST_HALF_WIDTH_M = 2 * LANE_WIDTH_M
NORTH_SOUTH_HALF_WIDTH_M = LANE_WIDTH_M
STRAIGHT_HALF_WIDTH_M = 3 * LANE_WIDTH_M
BAY_WIDTH_M = 2.3
BAY_LENGTH_M = 6.4
STEP_M = 0.25
TURN_SPEED_M_S = 6.0
# Paths whose centre lines come closer than this in the junction are not used at the same time.
CONFLICT_M = 3.2


@dataclass(frozen=True, eq=False)
class Path:
    """A way through the scene, from one end of the map to another.

    `points_m` is n x 2 at equal steps of arc length. `turn_m` is where the curve begins and ends; between `stop_m` and
    `clear_m` the path is in the junction.
    """

    approach: str
    movement: str
    points_m: Floats
    stop_m: float
    clear_m: float
    turn_m: tuple[float, float] = field(default=(math.inf, math.inf))

    @property
    def length_m(self) -> float:
        """Arc length."""
        return (len(self.points_m) - 1) * STEP_M

    @cached_property
    def normals(self) -> Floats:
        """To the left of each point."""
        steps = np.gradient(self.points_m, axis=0)
        unit: Floats = np.column_stack([-steps[:, 1], steps[:, 0]]) / np.hypot(*steps.T)[:, None]
        return unit

    @cached_property
    def headings_rad(self) -> Floats:
        """The direction at each point, counter-clockwise from east."""
        angles: Floats = np.arctan2(-self.normals[:, 0], self.normals[:, 1])
        return angles

    def at(self, distances_m: Floats, left_m: float = 0.0) -> Floats:
        """Positions at arc lengths, n x 2, `left_m` beside the path."""
        place = np.clip(distances_m / STEP_M, 0.0, len(self.points_m) - 1.001)
        index = place.astype(int)
        rest = (place - index)[:, None]
        beside = self.points_m + left_m * self.normals
        places: Floats = beside[index] * (1 - rest) + beside[index + 1] * rest
        return places

    @property
    def way(self) -> str:
        """From which side to which, such as `west-east`; empty for unused paths."""
        return f"{self.approach}-{_side(self.points_m[-1])}" if self.approach else ""

    def lane_at(self, distance_m: float) -> str:
        """The lane at an arc length: `west_in_2` is the second from the middle from the west; none in the junction."""
        inwards = distance_m < self.stop_m
        if not self.approach or (not inwards and distance_m <= self.clear_m):
            return ""
        end = self.points_m[0 if inwards else -1]
        place = math.ceil(float(np.abs(end).min()) / LANE_WIDTH_M)
        return f"{_side(end)}_{'in' if inwards else 'out'}_{place}"


@dataclass(frozen=True, eq=False)
class Scene:
    """Paths, parking bays (x, y, heading) and the signal: the green phase of each approach, in seconds of the cycle."""

    name: str
    paths: tuple[Path, ...]
    bays: tuple[tuple[float, float, float], ...]
    cycle_s: float
    greens_s: Mapping[str, tuple[float, float]]
    arrivals_hz: Mapping[str, float]

    @cached_property
    def conflicts(self) -> NDArray[np.bool_]:
        """Whether each two paths meet in the junction."""
        inside = [path.points_m[int(path.stop_m / STEP_M) : int(path.clear_m / STEP_M)] for path in self.paths]
        meet = np.zeros((len(inside), len(inside)), bool)
        for first, one in enumerate(inside):
            for second, other in enumerate(inside):
                if self.paths[first].approach != self.paths[second].approach:
                    apart = np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1))
                    meet[first, second] = bool((apart < CONFLICT_M).any())
        return meet


def _side(place: Floats) -> str:
    x, y = place
    if abs(x) > abs(y):
        return "east" if x > 0 else "west"
    return "north" if y > 0 else "south"


def _equal_steps(points: Floats) -> Floats:
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.arange(0.0, along[-1], STEP_M)
    return np.stack([np.interp(wanted, along, points[:, axis]) for axis in (0, 1)], axis=1)


def _curve(start: Floats, corner: Floats, end: Floats) -> Floats:
    """A cubic Bezier curve from `start` to `end` with tangents that meet in `corner`; nearly a quarter circle."""
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

    `exit_m` is the lateral position of the exit lane: x when going straight, y after a turn.
    """
    quarters = {"south": 0, "north": 2, "west": 3, "east": 1}[approach]
    begin, stop = np.array([entry_m, -REACH_M]), REACH_M - stop_m
    if movement == "straight":
        whole = _equal_steps(np.array([begin, [exit_m, REACH_M]]))
        return Path(approach, movement, _turned(whole, quarters), stop, REACH_M + stop_m)
    sign = 1.0 if movement == "right" else -1.0
    start, corner, end = (
        np.array([entry_m, -stop_m + 1.5]),
        np.array([entry_m, exit_m]),
        np.array([sign * far_m, exit_m]),
    )
    curve = _curve(start, corner, end)
    whole = _equal_steps(np.vstack([begin[None], curve, [[sign * REACH_M, exit_m]]]))
    first = stop + 1.5
    last = first + float(np.hypot(*np.diff(curve, axis=0).T).sum())
    return Path(approach, movement, _turned(whole, quarters), stop, last, (first, last))


def _bays(along_m: tuple[float, float], across_m: float) -> list[tuple[float, float, float]]:
    """Bays beside the road, from one x to another; parked vehicles face the direction of the nearest lane."""
    heading = 0.0 if across_m < 0 else math.pi
    places = np.arange(along_m[0] + BAY_LENGTH_M / 2, along_m[1], BAY_LENGTH_M)
    return [(float(x), across_m, heading) for x in places]


@cache
def _crossroads() -> Scene:
    half = LANE_WIDTH_M / 2
    outer, inner = 3 * half, half
    narrow, wide = (STOP_NORTH_SOUTH_M, STOP_EAST_WEST_M - 1), (STOP_EAST_WEST_M, STOP_NORTH_SOUTH_M - 1)
    lanes = {
        "narrow": ((half, half, "straight"), (half, -outer, "right"), (half, inner, "left")),
        "wide": ((outer, outer, "straight"), (inner, inner, "straight"), (outer, -half, "right")),
    }
    paths = tuple(
        _path(approach, movement, entry, way_out, *sides)
        for approaches, kind, sides in ((("south", "north"), "narrow", narrow), (("west", "east"), "wide", wide))
        for approach in approaches
        for entry, way_out, movement in lanes[kind]
    )
    beside = EAST_WEST_HALF_WIDTH_M + BAY_WIDTH_M / 2
    return Scene(
        "crossroads", paths, tuple(_bays((-60, -26), -beside) + _bays((24, 58), beside)), 28.0,
        {"west": (0.0, 11.0), "east": (0.0, 11.0), "south": (13.0, 18.5), "north": (20.5, 26.0)},
        {"west": 0.2, "east": 0.2, "south": 0.1, "north": 0.1},
    )  # fmt: skip


@cache
def _straight() -> Scene:
    paths = tuple(
        _path(approach, "straight", (place + 0.5) * LANE_WIDTH_M, (place + 0.5) * LANE_WIDTH_M, STOP_STRAIGHT_M, 0)
        for approach in ("west", "east")
        for place in range(3)
    )
    beside = STRAIGHT_HALF_WIDTH_M + BAY_WIDTH_M / 2
    bays = [bay for side in (-beside, beside) for span in ((-60, -20), (18, 58)) for bay in _bays(span, side)]
    return Scene(
        "straight", paths, tuple(bays), 26.0, {"west": (0.0, 13.0), "east": (0.0, 13.0)}, {"west": 0.2, "east": 0.2}
    )


SCENES = {"crossroads": _crossroads, "straight": _straight}


def scene_named(name: str) -> Scene:
    """One of SCENES. Raises ParameterInvalid for any other."""
    if name not in SCENES:
        raise ParameterInvalid(f"no scene is named {name!r}", remedy=f"Choose one of {', '.join(SCENES)}")
    return SCENES[name]()
