"""Simulated detections without a film: positions with a detector's errors, to test tracking within seconds.

The errors of `BACKGROUND` were measured on a rendered film (seed 301): little noise, but outlines that shadows or
leaning roofs shift by centimetres for seconds. Those of `NETWORK` are assumed: independent per box, and noisier.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats
from tracker.geometry import corners
from tracker.simulation.camera import VIEW_WIDTH_M
from tracker.simulation.streets import scene_named
from tracker.simulation.traffic import Traffic, Vehicle
from tracker.simulation.truth import TRUTH_COLUMNS, true_row
from tracker.tables import TEXT_COLUMNS, Table, from_rows

DETECTION_COLUMNS = (
    "frame",
    "time_s",
    "x_m",
    "y_m",
    "heading_deg",
    "length_m",
    "width_m",
    "score",
    "whole",
    "position_std_m",
)
VIEW_HALF_M = np.array([VIEW_WIDTH_M / 2, VIEW_WIDTH_M * 9 / 32])
# Vehicles closer than this may be merged into one box.
MERGE_GAP_M = 1.0


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector's errors. Positions: metres, standard deviations; probabilities: per vehicle and frame.

    `noise_m` is independent per frame, `drift_m` changes within `drift_s`, `bias_m` is constant. `hidden` starts a gap
    of `hidden_s` on average; `merged` is per near pair, `broken` yields half a vehicle; `false` boxes last for one
    frame, `ghosts` for `hidden_s`.
    """

    noise_m: float
    drift_m: float
    bias_m: float
    drift_s: float = 2.0
    missed: float = 0.03
    hidden: float = 0.004
    hidden_s: float = 0.6
    merged: float = 0.5
    broken: float = 0.02
    false: float = 0.15
    ghosts: float = 0.02


BACKGROUND = Detector(noise_m=0.02, drift_m=0.06, bias_m=0.05)
NETWORK = Detector(noise_m=0.10, drift_m=0.02, bias_m=0.02)
DETECTORS = {"background": BACKGROUND, "network": NETWORK}


@dataclass(slots=True)
class _Errors:
    """The current errors of one vehicle's boxes."""

    bias: Floats
    drift: Floats
    hidden_until_s: float = -1.0


def sightings(
    detector: Detector, *, seed: int, seconds: float, rate_hz: float, scene: str = "crossroads"
) -> tuple[Table, Table]:
    """Detections with the columns of `detections.csv`, and the truth with those of `truth.csv`."""
    seer = _Seer(detector, np.random.default_rng([seed, 7]), 1 / rate_hz)
    return seer.seen(Traffic(seed, 1 / rate_hz, scene_named(scene)), seconds)


class _Seer:
    def __init__(self, detector: Detector, random: np.random.Generator, step_s: float) -> None:
        self.detector, self.random, self.step_s = detector, random, step_s
        self.errors: dict[int, _Errors] = {}
        self.ghosts: list[tuple[float, tuple[float, ...]]] = []

    def seen(self, traffic: Traffic, seconds: float) -> tuple[Table, Table]:
        found: list[tuple[float, ...]] = []
        true: list[tuple[float | str, ...]] = []
        for frame, (time_s, vehicles) in enumerate(traffic.frames(seconds)):
            inside = [vehicle for vehicle in vehicles if _in_view(vehicle)]
            true += [true_row(frame, time_s, vehicle, visible=vehicle in inside) for vehicle in vehicles]
            found += [(frame, time_s, *box, 1, self.detector.noise_m) for box in self._boxes(inside, time_s)]
        tables = []
        for names, rows in ((DETECTION_COLUMNS, found), (TRUTH_COLUMNS, true)):
            columns = from_rows(names, rows)
            tables.append(
                {name: np.array(values, object if name in TEXT_COLUMNS else None) for name, values in columns.items()}
            )
        return tables[0], tables[1]

    def _boxes(self, vehicles: list[Vehicle], time_s: float) -> list[tuple[float, ...]]:
        boxes = [self._box(vehicle) for vehicle in vehicles]
        gone: set[int] = set()
        merged = []
        for first in range(len(vehicles)):
            for second in range(first):
                pair = {first, second}
                if (
                    pair & gone
                    or not self._chance(self.detector.merged)
                    or not _near(vehicles[first], vehicles[second])
                ):
                    continue
                gone |= pair
                merged.append(_around(boxes[first], boxes[second]))
        single = [
            box for index, box in enumerate(boxes) if index not in gone and not self._is_missed(vehicles[index], time_s)
        ]
        return single + merged + self._false(time_s)

    def _box(self, vehicle: Vehicle) -> tuple[float, ...]:
        """x, y, heading (an axis, modulo a half turn), length, width, score."""
        at, random = self.detector, self.random
        errors = self.errors.setdefault(
            vehicle.number, _Errors(random.normal(0, at.bias_m, 2), random.normal(0, at.drift_m, 2))
        )
        keep = np.exp(-self.step_s / at.drift_s)
        errors.drift = keep * errors.drift + np.sqrt(1 - keep**2) * random.normal(0, at.drift_m, 2)
        x, y, heading = vehicle.pose
        x, y = np.array([x, y]) + errors.bias + errors.drift + random.normal(0, at.noise_m, 2)
        length, width = np.array([vehicle.length_m, vehicle.width_m]) + random.normal([0.3, 0.2], 0.1)
        score = random.normal(0.85, 0.06)
        if self._chance(at.broken):
            share = random.uniform(0.4, 0.8)
            off = (1 - share) / 2 * length * random.choice([-1, 1])
            x, y, length, score = x + off * np.cos(heading), y + off * np.sin(heading), share * length, 0.6
        axis = np.degrees(heading) + random.normal(0, 2) + 180 * random.integers(2)
        return float(x), float(y), float(axis), float(length), float(width), float(np.clip(score, 0.3, 1))

    def _is_missed(self, vehicle: Vehicle, time_s: float) -> bool:
        errors = self.errors[vehicle.number]
        if self._chance(self.detector.hidden):
            errors.hidden_until_s = time_s + self.random.exponential(self.detector.hidden_s)
        return time_s < errors.hidden_until_s or self._chance(self.detector.missed)

    def _false(self, time_s: float) -> list[tuple[float, ...]]:
        random, at = self.random, self.detector
        self.ghosts = [ghost for ghost in self.ghosts if ghost[0] > time_s]
        if self._chance(at.ghosts):
            self.ghosts.append((time_s + 2 * random.exponential(at.hidden_s), self._anywhere()))
        fresh = [self._anywhere() for _ in range(random.poisson(at.false))]
        return fresh + [
            (box[0] + random.normal(0, 0.2), box[1] + random.normal(0, 0.2), *box[2:]) for _, box in self.ghosts
        ]

    def _anywhere(self) -> tuple[float, ...]:
        x, y = self.random.uniform(-VIEW_HALF_M, VIEW_HALF_M)
        length, width = self.random.uniform([1.5, 0.8], [5.0, 2.2])
        return float(x), float(y), float(self.random.uniform(0, 180)), float(length), float(width), 0.55

    def _chance(self, share: float) -> bool:
        return bool(self.random.random() < share)


def _outline(vehicle: Vehicle) -> Floats:
    return corners(*vehicle.pose, vehicle.length_m, vehicle.width_m)


def _in_view(vehicle: Vehicle) -> bool:
    return bool((np.abs(_outline(vehicle)) < VIEW_HALF_M).all())


def _near(first: Vehicle, second: Vehicle) -> bool:
    """Whether their outlines, each enlarged by half of the gap, touch."""
    x, y, _ = first.pose
    if np.hypot(second.pose[0] - x, second.pose[1] - y) > (first.length_m + second.length_m) / 2 + MERGE_GAP_M:
        return False
    one, other = (
        corners(*vehicle.pose, vehicle.length_m + MERGE_GAP_M, vehicle.width_m + MERGE_GAP_M).astype(np.float32)
        for vehicle in (first, second)
    )
    return bool(cv2.intersectConvexConvex(one, other)[0] > 0)


def _around(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    """The smallest box around both."""
    points = np.vstack(
        [corners(x, y, np.radians(axis), length, width) for x, y, axis, length, width, _ in (first, second)]
    )
    (x, y), (width, length), angle = cv2.minAreaRect(points.astype(np.float32))
    if length < width:
        length, width, angle = width, length, angle - 90
    return x, y, angle + 90, length, width, 0.6
