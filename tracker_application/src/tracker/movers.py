"""Vehicles that only motion sees: what moves like one for long enough is a vehicle, whatever a network thinks.

Boxes of motion alone have a low score, and no track begins with them: most differences from the background that a
network does not know are none. But shadows, leaves and reflections do not drive: they have no steady size, course and
acceleration. What stands needs the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.association import Rules, Track, associate
from tracker.geometry import angle_between
from tracker.tables import Table, select

# A part of a track this long is joined with a vehicle that is known before or after it.
SHORTEST_S = 0.5
# Pedestrians are slower, and no vehicle is faster; none brakes or accelerates more.
SLOWEST_M_S, FASTEST_M_S, HARDEST_M_S2 = 2.0, 60.0, 9.0
# Largest deviation of boxes from a steady motion, RMS.
UNSTEADY_M = 0.35
# The outline of a vehicle: sizes of the smallest and the largest, and how much most sizes of one may differ.
SMALLEST_M, LARGEST_M, SIZES_DIFFER = (1.2, 0.5), (20.0, 4.5), 0.3
# An outline with a clear direction is longer than wide by this factor, and points along the course within this angle.
ELONGATED, ASKEW_RAD = 1.5, np.radians(30)
# This close to the outline of a known vehicle for this share of the time, it is a part of that, or its shadow.
BESIDE_M, MOSTLY = 0.7, 0.5
# Boxes in a part of a track that tell something.
FEWEST = 5


@dataclass(frozen=True, slots=True, eq=False)
class Movers:
    """Looks for vehicles among the boxes that belong to none of some tracks."""

    boxes: Table
    rules: Rules
    least_s: float

    def beside(self, tracks: list[Track]) -> list[Track]:
        """Tracks of motion's other boxes that move like vehicles, if only for a moment, and are no part of these."""
        free = (self.boxes["source"] == "motion") & (self.boxes["score"] < self.rules.sure_score)
        free[[row for track in tracks for row in track.rows]] = False
        rows = np.flatnonzero(free)
        found = associate(select(self.boxes, rows), Rules(self.rules.gate_m, SHORTEST_S, 0.0))
        alone = [Track(rows[track.rows].tolist(), track.shared) for track in found]
        owners = _Owners(self.boxes, tracks)
        return [track for track in alone if self.moves(track, SHORTEST_S) and not owners.close_to(track)]

    def known(self, track: Track) -> bool:
        """Whether it is a vehicle for a network, or has moved like one for long enough."""
        sure = self.boxes["score"][track.rows] >= self.rules.sure_score
        return bool(sure.any()) or self.moves(track, self.least_s)

    def moves(self, track: Track, seconds: float) -> bool:
        """Whether some part of it, this long, moves like a vehicle."""
        rows = np.array(track.rows)
        times = self.boxes["time_s"][rows]
        begins = np.searchsorted(times, times - seconds + 1e-6, side="right") - 1
        return any(
            last - first + 1 >= FEWEST and self._drives(rows[first : last + 1])
            for last, first in enumerate(begins.tolist())
            if first >= 0
        )

    def _drives(self, rows: Flags) -> bool:
        boxes = self.boxes
        times = boxes["time_s"][rows] - boxes["time_s"][rows].mean()
        places = np.column_stack([boxes["x_m"][rows], boxes["y_m"][rows]])
        fitted = np.polynomial.polynomial.polyfit(times, places, 2)
        off = places - np.polynomial.polynomial.polyval(times, fitted).T
        speed, acceleration = float(np.hypot(*fitted[1])), 2 * float(np.hypot(*fitted[2]))
        steady = float(np.sqrt((off**2).sum(axis=1).mean())) <= UNSTEADY_M and acceleration <= HARDEST_M_S2
        return (
            steady and SLOWEST_M_S <= speed <= FASTEST_M_S and self._has_a_size(rows) and self._points(rows, fitted[1])
        )

    def _has_a_size(self, rows: Flags) -> bool:
        """Whether the outlines are those of one vehicle. Those that the border cuts grow and shrink."""
        whole = rows[self.boxes["whole"][rows] == 1]
        if len(whole) < FEWEST:
            return False
        sizes = np.column_stack([self.boxes["length_m"][whole], self.boxes["width_m"][whole]])
        usual = np.median(sizes, axis=0)
        differ = np.median(np.abs(sizes - usual), axis=0) / usual
        return bool((usual >= SMALLEST_M).all() and (usual <= LARGEST_M).all() and differ.max() <= SIZES_DIFFER)

    def _points(self, rows: Flags, velocity: Floats) -> bool:
        long = rows[self.boxes["length_m"][rows] > ELONGATED * self.boxes["width_m"][rows]]
        if not len(long):
            return True
        axes = np.radians(self.boxes["heading_deg"][long])
        # An axis has no front: twice the angle does not tell it from the rear.
        off = angle_between(2 * axes, 2 * np.arctan2(velocity[1], velocity[0])) / 2
        return bool(np.median(np.abs(off)) <= ASKEW_RAD)


class _Owners:
    """The boxes of known vehicles, by frame."""

    def __init__(self, boxes: Table, tracks: list[Track]) -> None:
        self.boxes = boxes
        rows = np.array(sorted({row for track in tracks for row in track.rows}), np.int64)
        frames, starts = np.unique(boxes["frame"][rows], return_index=True)
        self.by_frame = dict(zip(frames.tolist(), np.split(rows, starts[1:]), strict=True)) if len(rows) else {}

    def close_to(self, track: Track) -> bool:
        """Whether it is at the outline of some known vehicle for most of its time."""
        return float(np.mean([self._beside(row) for row in track.rows])) >= MOSTLY

    def _beside(self, row: int) -> bool:
        boxes = self.boxes
        others = self.by_frame.get(int(boxes["frame"][row]))
        if others is None:
            return False
        x, y = boxes["x_m"][row] - boxes["x_m"][others], boxes["y_m"][row] - boxes["y_m"][others]
        cos, sin = np.cos(np.radians(boxes["heading_deg"][others])), np.sin(np.radians(boxes["heading_deg"][others]))
        own_m = boxes["width_m"][row] / 2
        ahead = np.abs(x * cos + y * sin) - boxes["length_m"][others] / 2 - own_m
        aside = np.abs(y * cos - x * sin) - boxes["width_m"][others] / 2 - own_m
        return bool((np.maximum(ahead, aside) < BESIDE_M).any())
