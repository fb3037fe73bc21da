"""Vehicles that stand, and that a network sees again and again, but too faintly to begin a track.

One look at something faint says little. The same box in the same place in most looks over several seconds says more,
and where vehicles drive it says enough: `vehicles.unlikely` judges it like any track, by its mean score and its
distance from the road. What others drive over lies on the ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.association import Track
from tracker.neighbours import Places
from tracker.tables import Table, select

# Looks at one vehicle are this close to each other.
SAME_M = 0.7
# The least time and number of looks in which it is seen. What is seen again after a longer gap is another one.
SHORTEST_S, FEWEST, LONGEST_GAP_S = 3.0, 6, 3.0
# Least mean score over all looks from first to last; what scores less is nowhere taken for a vehicle.
LEAST = 0.25
# Further from a vehicle's outline, a look shows another one.
BESIDE_M = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The boxes of a track, by time."""

    times_s: Floats
    places: Floats
    axes: Floats
    length_m: float
    width_m: float

    @classmethod
    def of(cls, boxes: Table, track: Track) -> _Known:
        rows = np.array(track.rows)
        return cls(
            boxes["time_s"][rows],
            np.column_stack([boxes["x_m"], boxes["y_m"]])[rows],
            np.radians(boxes["heading_deg"][rows]),
            float(np.median(boxes["length_m"][rows])),
            float(np.median(boxes["width_m"][rows])),
        )

    def covers(self, places: Floats, times_s: Floats, margin_m: float) -> Flags:
        """Which places (n x 2) at these times lie within its outline; times are within its own."""
        x, y = (np.interp(times_s, self.times_s, axis) for axis in self.places.T)
        axes = self.axes[np.minimum(np.searchsorted(self.times_s, times_s), len(self.axes) - 1)]
        off_x, off_y = places[:, 0] - x, places[:, 1] - y
        along = np.abs(off_x * np.cos(axes) + off_y * np.sin(axes)) - self.length_m / 2
        across = np.abs(off_y * np.cos(axes) - off_x * np.sin(axes)) - self.width_m / 2
        inside: Flags = np.maximum(along, across) <= margin_m
        return inside


def waiting(looks: Table, boxes: Table, tracks: list[Track]) -> Table:
    """Boxes on every searched frame of what stands, and belongs to none of `tracks`; `number` tells them apart.

    `looks` are rows of `looks.parquet` in time order, `boxes` those of `detections.parquet`.
    """
    known = [_Known.of(boxes, track) for track in tracks]
    free = select(looks, np.flatnonzero(~_owned(looks, known)))
    moments = np.unique(looks["time_s"])
    frames, first = np.unique(boxes["frame"], return_index=True)
    times_s = boxes["time_s"][first]
    found: list[Table] = []
    for rows in _standing(free, moments):
        begin_s, end_s = free["time_s"][rows[0]], free["time_s"][rows[-1]]
        middle = np.array([np.median(free["x_m"][rows]), np.median(free["y_m"][rows])])
        if _driven_over(middle, begin_s, end_s, known):
            continue
        at = np.flatnonzero((times_s >= begin_s) & (times_s <= end_s))
        last = rows[np.searchsorted(free["time_s"][rows], times_s[at], side="right") - 1]
        mean = _mean_score(free, rows, moments)
        count = len(at)
        held = select(free, last) | {"frame": frames[at], "time_s": times_s[at], "score": np.full(count, mean)}
        found.append(held | {"number": np.full(count, len(found))})
    names = [*looks, "number"]
    return {name: np.concatenate([part[name] for part in found] or [np.zeros(0)]) for name in names}


def _owned(looks: Table, known: list[_Known]) -> Flags:
    """Looks at vehicles that have a track."""
    owned = np.zeros(len(looks["time_s"]), bool)
    places = np.column_stack([looks["x_m"], looks["y_m"]])
    for one in known:
        low = np.searchsorted(looks["time_s"], one.times_s[0] - 1e-6)
        high = np.searchsorted(looks["time_s"], one.times_s[-1] + 1e-6, side="right")
        part = slice(int(low), int(high))
        owned[part] |= one.covers(places[part], looks["time_s"][part], BESIDE_M)
    return owned


def _standing(looks: Table, moments: Floats) -> Iterator[Flags]:
    """Rows of the looks at each thing that stands, in time order; the clearest things first."""
    places = np.column_stack([looks["x_m"], looks["y_m"]])
    among = Places(places)
    free = np.ones(len(places), bool)
    for row in np.argsort(-looks["score"], kind="stable").tolist():
        if not free[row]:
            continue
        near = among.within(places[row], SAME_M)
        near = np.sort(near[free[near]])
        free[near] = False
        # One box a look: the clearest.
        order = near[np.lexsort([-looks["score"][near], looks["time_s"][near]])]
        rows = order[np.unique(looks["time_s"][order], return_index=True)[1]]
        gaps = np.flatnonzero(np.diff(looks["time_s"][rows]) > LONGEST_GAP_S) + 1
        for part in np.split(rows, gaps):
            lasts = len(part) >= FEWEST and looks["time_s"][part[-1]] - looks["time_s"][part[0]] >= SHORTEST_S
            if lasts and _mean_score(looks, part, moments) >= LEAST:
                yield part


def _mean_score(looks: Table, rows: Flags, moments: Floats) -> float:
    """Over all looks from the first to the last of these rows: where nothing was seen, the score is 0."""
    first, last = np.searchsorted(moments, looks["time_s"][rows[[0, -1]]])
    return float(looks["score"][rows].sum()) / int(last - first + 1)


def _driven_over(place: Floats, begin_s: float, end_s: float, known: list[_Known]) -> bool:
    """Whether some vehicle drives over a place in this time."""
    for one in known:
        now = (one.times_s >= begin_s) & (one.times_s <= end_s)
        if now.any() and one.covers(np.broadcast_to(place, (int(now.sum()), 2)), one.times_s[now], -BESIDE_M).any():
            return True
    return False
