"""Vehicles that drive, follow, queue, turn and park: the intelligent driver model along paths, with signals.

Vehicles never collide: each follows the one ahead in its corridor, and enters the junction only after all vehicles on
conflicting paths have left it. It decides while it can still stop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tracker.arrays import Floats
from tracker.simulation.streets import STEP_M, TURN_SPEED_M_S, Path, Scene, scene_named

WARM_UP_S = 60.0
# Time step of the traffic; between steps the acceleration is constant, and frames are sampled at any time.
STEP_S = 0.1
# kind: share, length, width, height (lowest and highest), all in metres
KINDS = {
    "car": (0.75, (3.9, 4.9), (1.74, 1.95), (1.40, 1.70)),
    "van": (0.09, (5.0, 6.4), (1.90, 2.10), (2.00, 2.50)),
    "truck": (0.06, (7.0, 10.0), (2.30, 2.50), (2.90, 3.40)),
    "bus": (0.03, (11.2, 12.2), (2.50, 2.55), (2.90, 3.10)),
    "two_wheeler": (0.07, (1.9, 2.2), (0.70, 0.85), (1.50, 1.70)),
}
SHARES = {"straight": 0.72, "right": 0.19, "left": 0.12}
# Longer vehicles only go straight on.
LONGEST_TURNING_M = 10.5
BAYS_TAKEN = 0.6
COMFORT_M_S2 = 2.2
STANDING_GAP_M = 2.0
HEADWAY_S = 1.2
LOOK_AHEAD_M = 45.0
# Lateral distance from the corridor's edge beyond which a vehicle is not followed.
SIDE_GAP_M = 0.35


@dataclass(slots=True)
class Vehicle:
    """A vehicle on its path; `distance_m` is its centre along the path, `left_m` its lateral offset."""

    number: int
    kind: str
    path: Path
    length_m: float
    width_m: float
    height_m: float
    wish_m_s: float
    speed_m_s: float
    distance_m: float = 0.0
    acceleration_m_s2: float = 0.0
    left_m: float = 0.0
    lane: tuple[str, float, float] = ("", 0.0, 0.0)
    may_cross: bool = False

    @property
    def pose(self) -> tuple[float, float, float]:
        """x, y and heading of the centre; both axles are on the path."""
        (x, y), heading = self._between(self.distance_m)
        return float(x), float(y), heading

    @property
    def true_speed_m_s(self) -> float:
        """Speed of the centre: in a curve less than along the path."""
        step = 0.25
        before, after = (self._between(self.distance_m + way * step)[0] for way in (-1, 1))
        return self.speed_m_s * float(np.hypot(*(after - before))) / (2 * step)

    def moved(self, seconds: float) -> Vehicle:
        """The vehicle a moment later, within a step."""
        speed = self.speed_m_s + self.acceleration_m_s2 * seconds
        return replace(self, speed_m_s=speed, distance_m=self.distance_m + (self.speed_m_s + speed) / 2 * seconds)

    def spine(self) -> Floats:
        """Three points along its centre line: rear, centre, front."""
        x, y, heading = self.pose
        along = np.array([math.cos(heading), math.sin(heading)]) * self.length_m / 2
        return np.array([x, y]) + np.array([[-1.0], [0.0], [1.0]]) * along

    def _between(self, distance_m: float) -> tuple[Floats, float]:
        axles = distance_m + 0.3 * self.length_m * np.array([-1.0, 1.0])
        rear, front = self.path.at(axles, self.left_m)
        return (rear + front) / 2, math.atan2(front[1] - rear[1], front[0] - rear[0])


class Traffic:
    """All vehicles of a scene. The same seed gives the same traffic at any frame rate (`1 / step_s`)."""

    def __init__(self, seed: int, step_s: float, scene: Scene | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.scene = scene or scene_named("crossroads")
        self.step_s = step_s
        self.steps = -round(WARM_UP_S / STEP_S)
        self.signal_s = float(self.random.uniform(0, self.scene.cycle_s))
        self.vehicles: list[Vehicle] = []
        self.made = 0
        self.parked = [self._parked(*bay) for bay in self.scene.bays if self.random.random() < BAYS_TAKEN]
        self.indices = {id(path): index for index, path in enumerate(self.scene.paths)}
        self._think()

    @cached_property
    def lanes(self) -> list[tuple[str, float, float]]:
        """Where vehicles arrive: approach and lane."""
        return sorted({_lane(path) for path in self.scene.paths})

    @property
    def time_s(self) -> float:
        """The time of the last step; the footage begins at 0."""
        return self.steps * STEP_S

    def frames(self, seconds: float) -> Iterator[tuple[float, tuple[Vehicle, ...]]]:
        """Time and vehicles of each frame of the footage."""
        for index in range(round(seconds / self.step_s)):
            time_s = index * self.step_s
            while self.time_s + STEP_S <= time_s + 1e-9:
                self._advance()
            since = time_s - self.time_s
            yield time_s, (*self.parked, *(vehicle.moved(since) for vehicle in self.vehicles))

    def _advance(self) -> None:
        self.vehicles = [vehicle.moved(STEP_S) for vehicle in self.vehicles]
        self.steps += 1
        self._arrive()
        self._think()

    def _think(self) -> None:
        self.vehicles = [v for v in self.vehicles if v.distance_m < v.path.length_m - v.length_m]
        spines = np.array([vehicle.spine() for vehicle in self.vehicles]).reshape(-1, 3, 2)
        for index, vehicle in enumerate(self.vehicles):
            self._decide(vehicle)
            wanted = self._acceleration(index, spines)
            vehicle.acceleration_m_s2 = max(wanted, -vehicle.speed_m_s / STEP_S)

    def _arrive(self) -> None:
        for lane in self.lanes:
            if self.random.random() > self.scene.arrivals_hz[lane[0]] * STEP_S:
                continue
            vehicle = self._made(lane)
            ahead = [v for v in self.vehicles if v.lane == lane]
            if all(v.distance_m - v.length_m / 2 > vehicle.length_m + 16 for v in ahead):
                self.vehicles.append(vehicle)
                self.made += 1

    def _made(self, lane: tuple[str, float, float]) -> Vehicle:
        kind, length, width, height = self._sizes(list(KINDS))
        options = [path for path in self.scene.paths if _lane(path) == lane]
        options = [path for path in options if length < LONGEST_TURNING_M or path.movement == "straight"]
        weights = np.array([SHARES[path.movement] for path in options])
        path = options[self.random.choice(len(options), p=weights / weights.sum())]
        wish = float(self.random.uniform(9.5, 13.5)) * (0.9 if kind in {"truck", "bus"} else 1.0)
        left = float(self.random.uniform(-1, 1)) * {"two_wheeler": 0.7, "car": 0.3}.get(kind, 0.12)
        return Vehicle(
            self.made, kind, path, length, width, height, wish, 0.8 * wish, length / 2, left_m=left, lane=lane
        )

    def _parked(self, x: float, y: float, heading: float) -> Vehicle:
        kind, length, width, height = self._sizes(["car", "van"])
        along = np.array([math.cos(heading), math.sin(heading)])
        middle = np.array([x, y]) + self.random.normal(0, [0.25, 0.08])
        points = middle + np.arange(-20, 21)[:, None] * STEP_M * along
        spot = Path("", "parked", points, math.inf, math.inf)
        self.made += 1
        length = min(length, 5.4)
        return Vehicle(self.made - 1, kind, spot, length, width, height, 1.0, 0.0, 20 * STEP_M)

    def _sizes(self, kinds: list[str]) -> tuple[str, float, float, float]:
        shares = np.array([KINDS[kind][0] for kind in kinds])
        kind = kinds[self.random.choice(len(kinds), p=shares / shares.sum())]
        _, *ranges = KINDS[kind]
        length, width, height = (float(self.random.uniform(*limits)) for limits in ranges)
        return kind, length, width, height

    def _decide(self, vehicle: Vehicle) -> None:
        """Decide whether to cross, while the vehicle can still stop. The decision is final."""
        to_line = vehicle.path.stop_m - vehicle.distance_m - vehicle.length_m / 2
        if not vehicle.may_cross and to_line < vehicle.speed_m_s**2 / (2 * COMFORT_M_S2) + 2.5:
            vehicle.may_cross = self._is_green(vehicle.path.approach) and not self._is_crossed(vehicle)

    def _is_green(self, approach: str) -> bool:
        start, end = self.scene.greens_s[approach]
        return (self.time_s + self.signal_s - start) % self.scene.cycle_s < end - start

    def _is_crossed(self, vehicle: Vehicle) -> bool:
        """Whether a vehicle on a conflicting path is, or will be, in the junction."""
        meets = self.scene.conflicts[self.indices[id(vehicle.path)]]
        return any(
            other.may_cross
            and other.distance_m - other.length_m / 2 < other.path.clear_m
            and meets[self.indices[id(other.path)]]
            for other in self.vehicles
        )

    def _acceleration(self, index: int, spines: Floats) -> float:
        vehicle = self.vehicles[index]
        gap, leader_speed = self._leader(index, spines)
        speed = vehicle.speed_m_s
        to_line = vehicle.path.stop_m - vehicle.distance_m - vehicle.length_m / 2
        deciding = to_line < speed**2 / (2 * COMFORT_M_S2) + 2.5
        closed = not vehicle.may_cross and (deciding or not self._is_green(vehicle.path.approach))
        if closed and to_line + STANDING_GAP_M < gap:
            gap, leader_speed = max(to_line, 0.0) + STANDING_GAP_M - 0.5, 0.0
        wanted_gap = STANDING_GAP_M + max(
            0.0, HEADWAY_S * speed + speed * (speed - leader_speed) / (2 * math.sqrt(1.8 * COMFORT_M_S2))
        )
        free = 1.0 - (speed / self._wish(vehicle)) ** 4
        return float(np.clip(1.8 * (free - (wanted_gap / max(gap, 0.1)) ** 2), -7.0, 2.5))

    def _wish(self, vehicle: Vehicle) -> float:
        """The desired speed without other vehicles: lower in and before curves."""
        begin, end = vehicle.path.turn_m
        if vehicle.distance_m > end:
            return vehicle.wish_m_s
        before = max(begin - vehicle.distance_m, 0.0)
        return min(vehicle.wish_m_s, math.sqrt(TURN_SPEED_M_S**2 + 2 * 1.5 * before))

    def _leader(self, index: int, spines: Floats) -> tuple[float, float]:
        """Gap to, and speed of, the vehicle ahead in the corridor of the path."""
        vehicle = self.vehicles[index]
        front = vehicle.distance_m + vehicle.length_m / 2
        first, path = int(vehicle.distance_m / STEP_M), vehicle.path
        ahead = slice(first + 1, first + int((LOOK_AHEAD_M + vehicle.length_m) / STEP_M), 2)
        points = path.points_m[ahead] + vehicle.left_m * path.normals[ahead]
        near = np.hypot(*(spines[:, 1] - spines[index, 1]).T) < LOOK_AHEAD_M + 12
        near[index] = False
        others = np.flatnonzero(near)
        if not len(points) or not len(others):
            return math.inf, 0.0
        other_points = spines[others].reshape(-1, 2)
        apart = np.hypot(points[:, :1] - other_points[:, 0], points[:, 1:] - other_points[:, 1])
        nearest = apart.argmin(axis=0).reshape(-1, 3)
        widths = np.array([self.vehicles[number].width_m for number in others])
        beside = apart.min(axis=0).reshape(-1, 3) < ((vehicle.width_m + widths) / 2 + SIDE_GAP_M)[:, None]
        nearest = np.where(beside & (nearest > 0), nearest, len(points))
        gap, speed = math.inf, 0.0
        for number, first_met in zip(others.tolist(), nearest.min(axis=1).tolist(), strict=True):
            if first_met == len(points):
                continue
            heading = spines[number, 2] - spines[number, 0]
            along = math.cos(math.atan2(heading[1], heading[0]) - path.headings_rad[ahead][first_met])
            free = (first + 1 + 2 * first_met) * STEP_M - front
            if along > 0.2 and free < gap:
                gap, speed = free, self.vehicles[number].speed_m_s * along
        return gap, speed


def _lane(path: Path) -> tuple[str, float, float]:
    x, y = path.points_m[0].tolist()
    return path.approach, x, y
