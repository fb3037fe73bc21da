"""How many vehicles each detector finds, and how many false alarms it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tracker.neighbours import Places, cheapest
from tracker.tables import groups, read_table, select

from bench.tracker.films import Film

SAME_VEHICLE_M = 1.5
# The road is the area within this distance of any vehicle at any time of the film.
ROAD_M = 2.5


@dataclass(frozen=True, slots=True)
class Found:
    """Counts over all searched frames. Only vehicles fully in view count.

    `false` are boxes on the road without a vehicle; `beside` are those elsewhere, which a road polygon would exclude.
    """

    right: int
    false: int
    missed: int
    beside: int

    @property
    def precision(self) -> float:
        """Share of the detections that are vehicles."""
        return self.right / max(1, self.right + self.false)

    @property
    def recall(self) -> float:
        """Share of the vehicles that are detected."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.right / max(1, 2 * self.right + self.false + self.missed)


def found_vehicles(film: Film, detections: Path) -> Found:
    """Match boxes and vehicles one to one by their centres on the ground."""
    boxes = groups(read_table(detections, ("frame", "x_m", "y_m")), "frame")
    everything = read_table(film.directory() / "truth.csv", ("frame", "x_m", "y_m", "visible"))
    road = Places(np.column_stack([everything["x_m"], everything["y_m"]]))
    truth = groups(everything, "frame")
    right = false = missed = beside = 0
    for frame, found in boxes.items():
        known = truth.get(frame)
        if known is None:
            continue
        apart = np.hypot(known["x_m"][:, None] - found["x_m"][None], known["y_m"][:, None] - found["y_m"][None])
        rows, columns = cheapest(np.minimum(apart, 10 * SAME_VEHICLE_M))
        near = apart[rows, columns] < SAME_VEHICLE_M
        rows, columns = rows[near], columns[near]
        whole = known["visible"] == 1
        right += int(whole[rows].sum())
        missed += int(whole.sum() - whole[rows].sum())
        # Boxes on a vehicle that the border cuts are neither right nor false.
        alone = np.setdiff1d(np.arange(len(found["x_m"])), columns)
        on_road = [
            len(road.within(place, ROAD_M)) > 0 for place in np.column_stack([found["x_m"], found["y_m"]])[alone]
        ]
        false += sum(on_road)
        beside += len(on_road) - sum(on_road)
    searched = set(boxes)
    for frame, known in truth.items():
        if frame in searched:
            continue
        missed += 0 if not _searched(frame, searched) else int((select(known, known["visible"] == 1)["visible"]).sum())
    return Found(right, false, missed, beside)


def _searched(frame: int, found: set[int]) -> bool:
    """Whether a frame without boxes was searched: searched frames are at equal steps."""
    steps = np.diff(sorted(found))
    step = int(np.gcd.reduce(steps)) if len(steps) else 1
    return bool(frame % step == min(found) % step)
