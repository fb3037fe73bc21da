"""Where vehicles drive, and how surely a network must see what stands somewhere for it to be a vehicle.

What stands on the road is probably a vehicle that waits. The further from it, the more is needed: beside roads there
are drains, benches and kiosks, and on roofs windows that look like parked cars.
"""

from __future__ import annotations

import numpy as np

from tracker.arrays import Floats
from tracker.neighbours import Places

# Least mean network scores, over all frames from first to last, of what never moves: in a lane or up to two lanes from
# one, and far from the road, such as on roofs and meadows. On real pictures, 98 % of the vehicles and a third of what
# is none score higher than the last.
SURE, SURE_FAR, IN_LANE_M, NEAR_M = 0.35, 0.6, 1.5, 7.0
# The same for two-wheelers, which never score high: in a lane, and beside it, where street furniture looks like them.
SURE_IN_LANE, SURE_TWO_WHEELER, BESIDE_LANE_M = 0.3, 0.45, 3.0
# What stands and has this score came along its own axis: as far before and behind it is a lane, too.
SURE_OF_ROAD, CAME_M = 0.7, 8.0


class Road:
    """Where vehicles drive."""

    def __init__(self, driven: Floats, lanes: Floats, reach_m: float) -> None:
        """`driven` are places where vehicles are seen to drive, `lanes` others where they must have driven (n x 2).

        A vehicle that is further than `reach_m` from where any drives does not stand at the road.
        """
        self._reach_m = reach_m
        self._driven, self._lanes = Places(driven), Places(np.concatenate([driven, lanes]))

    def needed(self, place: Floats, kind: str) -> float:
        """The score that what stands at a place and looks like this kind of vehicle needs to be one."""
        distance_m = self._lanes.distance(place, BESIDE_LANE_M)
        if kind == "two_wheeler":
            return float(np.interp(distance_m, [IN_LANE_M, BESIDE_LANE_M], [SURE_IN_LANE, SURE_TWO_WHEELER]))
        if distance_m <= IN_LANE_M:
            return SURE
        distance_m = self._driven.distance(place, self._reach_m)
        return float(np.interp(distance_m, [min(NEAR_M, self._reach_m), self._reach_m], [SURE, SURE_FAR]))


def along(place: Floats, heading_rad: float) -> Floats:
    """Places (n x 2) that a vehicle which stands here has driven over, or will."""
    steps_m = np.arange(-CAME_M, CAME_M + 0.5)
    places: Floats = place + steps_m[:, None] * [np.cos(heading_rad), np.sin(heading_rad)]
    return places
