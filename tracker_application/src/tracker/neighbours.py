"""Which positions are near each other, and which of two kinds belong together; all positions are n x 2."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Floats

Rows = NDArray[np.int64]
# Distances computed at once: few enough for the processor's cache.
AT_ONCE = 1 << 18


class Places:
    """Positions to look in, again and again."""

    def __init__(self, places: Floats) -> None:
        self._places = places
        self._order = np.argsort(places[:, 0], kind="stable")
        self._sorted = places[self._order]

    def distance(self, place: Floats, most: float) -> float:
        """The distance of the nearest position, if it is at most `most`; infinite otherwise."""
        near = self.within(place, most)
        return float(np.hypot(*(self._places[near] - place).T).min()) if len(near) else np.inf

    def within(self, place: Floats, distance: float) -> Rows:
        """Rows of the positions within a distance of a place."""
        first = np.searchsorted(self._sorted[:, 0], place[0] - distance, side="left")
        last = np.searchsorted(self._sorted[:, 0], place[0] + distance, side="right")
        squared = ((self._sorted[first:last] - place) ** 2).sum(axis=1)
        rows: Rows = self._order[first:last][squared <= distance**2]
        return rows


def nearest(places: Floats, points: Floats) -> Rows:
    """For each point, the row of the nearest position."""
    step = max(1, AT_ONCE // len(places))
    found = np.zeros(len(points), np.int64)
    for start in range(0, len(points), step):
        x, y = points[start : start + step, :, None].swapaxes(0, 1)
        squared = (x - places[:, 0]) ** 2
        squared += (y - places[:, 1]) ** 2
        found[start : start + step] = squared.argmin(axis=1)
    return found


def pairs_within(places: Floats, groups: Rows, distance: float) -> tuple[Rows, Rows]:
    """Rows of the pairs of positions of one group that are within a distance of each other; each pair once."""
    order = np.lexsort((places[:, 0], groups))
    ordered, group = places[order], groups[order]
    first = np.arange(len(order))
    firsts, seconds = [first[:0]], [first[:0]]
    # In the order of x, positions that are too far apart are followed only by others that are, too.
    for shift in range(1, len(order)):
        first = first[first + shift < len(order)]
        second = first + shift
        close = (group[first] == group[second]) & (ordered[second, 0] - ordered[first, 0] <= distance)
        first, second = first[close], second[close]
        if not len(first):
            break
        near = ((ordered[first] - ordered[second]) ** 2).sum(axis=1) <= distance**2
        firsts.append(order[first[near]])
        seconds.append(order[second[near]])
    return np.concatenate(firsts), np.concatenate(seconds)


def cheapest(costs: Floats) -> tuple[Rows, Rows]:
    """Rows and columns of the one-to-one assignment of rows to columns with the lowest total cost, in row order."""
    if not costs.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    columns = lap.lapjv(costs, extend_cost=True, return_cost=False)[0]
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows].astype(np.int64)
