"""How many vehicles each detector finds, and how many it makes up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from tracker.tables import groups, read_table, select

from bench.tracker.films import Film

SAME_VEHICLE_M = 1.5


@dataclass(frozen=True, slots=True)
class Found:
    """Counts over all frames that were searched. A vehicle counts where it is wholly in view."""

    right: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of what was found that is there."""
        return self.right / max(1, self.right + self.false)

    @property
    def recall(self) -> float:
        """Share of what is there that was found."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Both in one."""
        return 2 * self.right / max(1, 2 * self.right + self.false + self.missed)


def found_vehicles(film: Film, detections: Path) -> Found:
    """Match boxes and vehicles one to one by their middles on the ground."""
    boxes = groups(read_table(detections, ("frame", "x_m", "y_m")), "frame")
    truth = groups(read_table(film.directory() / "truth.csv", ("frame", "x_m", "y_m", "visible")), "frame")
    right = false = missed = 0
    for frame, found in boxes.items():
        known = truth.get(frame)
        if known is None:
            false += len(found["x_m"])
            continue
        apart = np.hypot(known["x_m"][:, None] - found["x_m"][None], known["y_m"][:, None] - found["y_m"][None])
        rows, columns = linear_sum_assignment(np.minimum(apart, 10 * SAME_VEHICLE_M))
        near = apart[rows, columns] < SAME_VEHICLE_M
        rows, columns = rows[near], columns[near]
        whole = known["visible"] == 1
        right += int(whole[rows].sum())
        missed += int(whole.sum() - whole[rows].sum())
        # What lies on a vehicle that the border cuts is neither right nor false.
        false += len(found["x_m"]) - len(columns)
    searched = set(boxes)
    for frame, known in truth.items():
        if frame in searched:
            continue
        missed += 0 if not _searched(frame, searched) else int((select(known, known["visible"] == 1)["visible"]).sum())
    return Found(right, false, missed)


def _searched(frame: int, found: set[int]) -> bool:
    """Whether a frame without any box was searched: frames are, at equal steps."""
    steps = np.diff(sorted(found))
    step = int(np.gcd.reduce(steps)) if len(steps) else 1
    return bool(frame % step == min(found) % step)
