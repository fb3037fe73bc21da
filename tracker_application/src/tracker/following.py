"""Which vehicle follows which, along each lane, at each moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tracker.arrays import Floats
from tracker.tables import Table

STANDING_M_S = 0.5


def lane_middles(collection: Mapping[str, Any]) -> dict[str, Floats]:
    """The centre line of each lane, n x 2 metres, from `lanes.geojson`."""
    return {lane["id"]: np.array(lane["geometry"]["coordinates"], np.float64) for lane in collection["features"]}


def lane_length(middle: Floats) -> float:
    """Length of a lane's centre line, metres."""
    return float(np.hypot(*np.diff(middle, axis=0).T).sum())


def along_lane(middle: Floats, places: Floats) -> Floats:
    """Distance of each position along a lane, metres from the lane's beginning."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(middle, axis=0).T))])
    steps = np.gradient(middle, axis=0)
    unit = steps / np.maximum(np.hypot(*steps.T), 1e-9)[:, None]
    found = [np.zeros(0)]
    for part in np.array_split(places, max(1, len(places) // 20_000)):
        nearest = np.hypot(*(part[:, None] - middle[None]).transpose(2, 0, 1)).argmin(axis=1)
        found.append(along[nearest] + ((part - middle[nearest]) * unit[nearest]).sum(axis=1))
    return np.concatenate(found)


def following(tracks: Table, lanes: Mapping[str, Floats]) -> Table:
    """For each row of `tracks`: the vehicles ahead and behind on the same lane, and their distances.

    `along_m` is the distance along the lane; `ahead_id` and `behind_id` are 0 if there is no vehicle. `gap_m` is
    measured from bumper to bumper, `time_gap_s` is the gap divided by the vehicle's own speed, `time_to_collision_s`
    the gap divided by the closing speed; NaN where undefined.
    """
    count = len(tracks["track_id"])
    result: Table = {"along_m": np.full(count, np.nan)}
    result |= {name: np.zeros(count, np.int64) for name in ("ahead_id", "behind_id")}
    result |= {
        name: np.full(count, np.nan) for name in ("gap_m", "time_gap_s", "time_to_collision_s", "ahead_speed_m_s")
    }
    for lane_id, middle in lanes.items():
        rows = np.flatnonzero(tracks["lane_id"] == lane_id)
        along = along_lane(middle, np.column_stack([tracks["x_m"], tracks["y_m"]])[rows])
        result["along_m"][rows] = along
        order = rows[np.lexsort([along, tracks["frame"][rows]])]
        follower, leader = order[:-1], order[1:]
        together = tracks["frame"][follower] == tracks["frame"][leader]
        follower, leader = follower[together], leader[together]
        result["ahead_id"][follower] = tracks["track_id"][leader]
        result["behind_id"][leader] = tracks["track_id"][follower]
        lengths = (tracks["length_m"][follower] + tracks["length_m"][leader]) / 2
        gap = result["along_m"][leader] - result["along_m"][follower] - lengths
        own, ahead = tracks["speed_m_s"][follower], tracks["speed_m_s"][leader]
        result["gap_m"][follower], result["ahead_speed_m_s"][follower] = gap, ahead
        result["time_gap_s"][follower] = np.where(own > STANDING_M_S, gap / np.maximum(own, STANDING_M_S), np.nan)
        closing = own - ahead
        nearing = (closing > STANDING_M_S) & (gap > 0)
        result["time_to_collision_s"][follower] = np.where(nearing, gap / np.maximum(closing, STANDING_M_S), np.nan)
    return result
