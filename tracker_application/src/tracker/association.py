"""Which detection is which vehicle: predicted places against sightings, each frame as a whole (Hungarian method)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.arrays import Floats
from tracker.smoothing import Belief, Motion

FAR_M = 1e6


@dataclass(slots=True)
class Track:
    """One vehicle so far. `rows` are the rows of its detections."""

    belief: Belief
    time_s: float
    rows: list[int] = field(default_factory=list)

    def expected(self, time_s: float, motion: Motion) -> Belief:
        """What is believed of it at a later time."""
        return self.belief.after(time_s - self.time_s, motion)


def associate(
    frames: Iterator[tuple[float, list[int]]], places: Floats, motion: Motion, *, gate_m: float, max_gap_s: float
) -> list[Track]:
    """Join detections to tracks. `frames` gives the time and the rows of each frame, in order; `places` is n x 2.

    A sighting further than `gate_m` from where a vehicle is expected is another vehicle; one that was not seen for
    `max_gap_s` has gone.
    """
    live: list[Track] = []
    gone: list[Track] = []
    for time_s, rows in frames:
        gone += [track for track in live if time_s - track.time_s > max_gap_s]
        live = [track for track in live if time_s - track.time_s <= max_gap_s]
        beliefs = [track.expected(time_s, motion) for track in live]
        seen = places[rows]
        distances = np.full((len(live), len(rows)), FAR_M)
        for index, belief in enumerate(beliefs):
            distances[index] = np.hypot(*(seen - belief.state[0]).T)
        distances[distances > gate_m] = FAR_M
        taken = set()
        for index, column in zip(*linear_sum_assignment(distances), strict=True):
            if distances[index, column] >= FAR_M:
                continue
            taken.add(int(column))
            track = live[index]
            track.belief = beliefs[index].seen_at(seen[column], motion)
            track.time_s = time_s
            track.rows.append(rows[column])
        live += [
            Track(Belief.first(places[row], motion), time_s, [row])
            for column, row in enumerate(rows)
            if column not in taken
        ]
    return gone + live
