"""Vehicles that drive, follow, queue and turn: the intelligent driver model along paths, with signals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats
from tracker.simulation.streets import STEP_M, TURN_SPEED_M_S, Path, all_paths

WARM_UP_S = 45.0
CYCLE_S = 16.0
# When the signal is green, in seconds of the cycle; the footage begins at 0. Nobody stands for long: in a short film,
# who stands for half of it is background.
NORTH_SOUTH_GREEN_S = (3.0, 8.0)
EAST_WEST_GREEN_S = (9.5, 17.5)
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
# kind: share, length, width, height (lowest and highest), all in metres
KINDS = {
    "car": (0.80, (3.9, 4.9), (1.74, 1.95), (1.40, 1.60)),
    "van": (0.10, (5.2, 6.4), (1.95, 2.10), (2.00, 2.50)),
    "truck": (0.06, (8.0, 10.5), (2.40, 2.55), (2.90, 3.40)),
    "bus": (0.04, (11.5, 12.2), (2.50, 2.55), (2.90, 3.10)),
}
SHARES = {"straight": 0.72, "right": 0.19, "left": 0.09}
COMFORT_M_S2 = 2.2
STANDING_GAP_M = 2.0
HEADWAY_S = 1.2
LOOK_AHEAD_M = 45.0


@dataclass(slots=True)
class Vehicle:
    """One vehicle on its path; `distance_m` is where its centre is."""

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

    @property
    def pose(self) -> tuple[float, float, float]:
        """x, y and heading of the centre."""
        return self.path.at(self.distance_m)


def is_green(approach: str, time_s: float) -> bool:
    """Whether vehicles from there may cross the stop line."""
    start, end = NORTH_SOUTH_GREEN_S if approach in ("north", "south") else EAST_WEST_GREEN_S
    return (time_s - start) % CYCLE_S < end - start


class Traffic:
    """All vehicles on the map, moved in steps of `step_s`. The same seed gives the same traffic."""

    def __init__(self, seed: int, step_s: float) -> None:
        self.random = np.random.default_rng(seed)
        self.step_s = step_s
        self.time_s = -WARM_UP_S
        self.vehicles: list[Vehicle] = []
        self.paths = all_paths()
        self.lanes = sorted({(path.approach, tuple(path.points_m[0])) for path in self.paths})
        self.made = 0

    def frames(self, seconds: float) -> Iterator[tuple[float, tuple[Vehicle, ...]]]:
        """Time and vehicles at each step of the footage."""
        while self.time_s < -self.step_s / 2:
            self._advance()
        for index in range(round(seconds / self.step_s)):
            yield index * self.step_s, tuple(self.vehicles)
            self._advance()

    def _advance(self) -> None:
        self._arrive()
        poses = np.array([vehicle.pose for vehicle in self.vehicles]).reshape(-1, 3)
        wanted = [self._acceleration(vehicle, poses) for vehicle in self.vehicles]
        for vehicle, acceleration in zip(self.vehicles, wanted, strict=True):
            change = max(acceleration * self.step_s, -vehicle.speed_m_s)
            vehicle.acceleration_m_s2 = change / self.step_s
            vehicle.distance_m += (vehicle.speed_m_s + change / 2) * self.step_s
            vehicle.speed_m_s += change
        self.vehicles = [v for v in self.vehicles if v.distance_m < v.path.length_m - v.length_m]
        self.time_s += self.step_s

    def _arrive(self) -> None:
        for approach, place in self.lanes:
            rate = 0.11 if approach in ("north", "south") else 0.19
            if self.random.random() > rate * self.step_s:
                continue
            options = [path for path in self.paths if tuple(path.points_m[0]) == place]
            weights = np.array([SHARES[path.movement] for path in options])
            path = options[self.random.choice(len(options), p=weights / weights.sum())]
            vehicle = self._made(path)
            ahead = [v for v in self.vehicles if tuple(v.path.points_m[0]) == place]
            if all(v.distance_m - v.length_m / 2 > vehicle.length_m + 14 for v in ahead):
                self.vehicles.append(vehicle)
                self.made += 1

    def _made(self, path: Path) -> Vehicle:
        shares = np.array([share for share, *_ in KINDS.values()])
        kind = list(KINDS)[self.random.choice(len(KINDS), p=shares)]
        _, *ranges = KINDS[kind]
        length, width, height = (float(self.random.uniform(*limits)) for limits in ranges)
        wish = float(self.random.uniform(9.5, 13.5)) * (0.9 if kind in ("truck", "bus") else 1.0)
        return Vehicle(self.made, kind, path, length, width, height, wish, speed_m_s=0.8 * wish, distance_m=length / 2)

    def _acceleration(self, vehicle: Vehicle, poses: Floats) -> float:
        gap, leader_speed = self._leader(vehicle, poses)
        path, place, speed = vehicle.path, vehicle.distance_m, vehicle.speed_m_s
        to_line = path.stop_m - place - vehicle.length_m / 2
        can_stop = to_line > speed**2 / (2 * 4.0)
        if to_line > -0.5 and can_stop and not self._may_go(vehicle) and to_line + STANDING_GAP_M < gap:
            gap, leader_speed = max(to_line, 0.0) + STANDING_GAP_M - 0.5, 0.0
        wish = self._wish(vehicle)
        wanted_gap = STANDING_GAP_M + max(
            0.0, HEADWAY_S * speed + speed * (speed - leader_speed) / (2 * math.sqrt(1.8 * COMFORT_M_S2))
        )
        free = 1.0 - (speed / wish) ** 4
        return float(np.clip(1.8 * (free - (wanted_gap / max(gap, 0.1)) ** 2), -7.0, 2.5))

    def _wish(self, vehicle: Vehicle) -> float:
        """The speed it would drive alone: less in a curve, and so that it can slow down before one."""
        begin, end = vehicle.path.turn_m
        if vehicle.distance_m > end:
            return vehicle.wish_m_s
        before = max(begin - vehicle.distance_m, 0.0)
        return min(vehicle.wish_m_s, math.sqrt(TURN_SPEED_M_S**2 + 2 * 1.5 * before))

    def _may_go(self, vehicle: Vehicle) -> bool:
        if not is_green(vehicle.path.approach, self.time_s):
            return False
        if vehicle.path.movement != "left":
            return True
        return not any(self._comes_towards(vehicle, other) for other in self.vehicles)

    def _comes_towards(self, vehicle: Vehicle, other: Vehicle) -> bool:
        """Whether who turns left must let `other` pass. Not who is stuck behind another that waits to turn left."""
        path = other.path
        to_line = path.stop_m - other.distance_m
        if path.approach != OPPOSITE[vehicle.path.approach] or path.movement == "left" or not -26.0 < to_line < 35.0:
            return False
        return not any(
            ahead.path.movement == "left"
            and ahead.path.approach == path.approach
            and tuple(ahead.path.points_m[0]) == tuple(path.points_m[0])
            and other.distance_m < ahead.distance_m < ahead.path.stop_m
            for ahead in self.vehicles
        )

    def _leader(self, vehicle: Vehicle, poses: Floats) -> tuple[float, float]:
        """Gap to, and speed of, whoever drives ahead in the corridor of the path."""
        first = int(vehicle.distance_m / STEP_M)
        ahead = slice(first + 1, first + int(LOOK_AHEAD_M / STEP_M))
        points, headings = vehicle.path.points_m[ahead], vehicle.path.headings_rad[ahead]
        gap, speed = math.inf, 0.0
        if not len(points):
            return gap, speed
        for other, (x, y, heading) in zip(self.vehicles, poses, strict=True):
            if other is vehicle:
                continue
            distances = np.hypot(points[:, 0] - x, points[:, 1] - y)
            nearest = int(distances.argmin())
            along = math.cos(heading - headings[nearest])
            if distances[nearest] > 1.9 or along < 0.25 or nearest == 0:
                continue
            free = (nearest + 1) * STEP_M - (vehicle.length_m + other.length_m) / 2
            if free < gap:
                gap, speed = free, other.speed_m_s * along
        return gap, speed
