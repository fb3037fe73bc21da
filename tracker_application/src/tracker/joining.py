"""Joins tracks of one vehicle across gaps, based on its motion before and after the gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.association import Track
from tracker.neighbours import Places
from tracker.tables import Table

# Time span before and after a gap for estimating the velocity.
AROUND_S = 0.8
# Below this speed a vehicle is stopped and may stay so; how quickly it stops and starts.
STANDING_M_S, STARTING_M_S2, FURTHEST_M = 1.0, 2.0, 8.0
# Where the border cuts a vehicle, it is not stopped from this speed on.
LEAVING_M_S = 0.3
# Standard deviations of the prediction after a gap: metres, and m/s2 of unexpected acceleration.
PLACE_M, SURPRISE_M_S2, VELOCITY_M_S = 0.6, 1.2, 0.8
THROUGH_M = 1.2
BOX_NOISE_M, LENGTH_M = 0.15, 1.5
WORST = 9.0
# Tracks with fewer sightings are flicker; joined, they would look like moving vehicles.
FEWEST = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """The first or last moments of all tracks."""

    times_s: Floats
    places: Floats
    velocities: Floats
    doubt_m_s: Floats
    cut: Flags  # whether the border of the picture cuts the vehicle there, but not always


def join(boxes: Table, tracks: list[Track], *, max_gap_s: float, max_standing_s: float) -> list[Track]:
    """Join tracks across gaps.

    Moving vehicles may be gone for `max_gap_s`, vehicles stopped before or after the gap for `max_standing_s`. Each
    track is joined with at most one before and one after it, the best match first.
    """
    flickers = [track for track in tracks if len(track.rows) < FEWEST]
    tracks = [track for track in tracks if len(track.rows) >= FEWEST]
    if not tracks:
        return flickers
    lasts, firsts = _ends(boxes, tracks, -1), _ends(boxes, tracks, 1)
    lengths = np.array([np.median(boxes["length_m"][track.rows]) for track in tracks])
    order = np.argsort(firsts.times_s, kind="stable")
    begins = firsts.times_s[order]
    passing = _Passing(boxes, tracks)
    pairs = []
    for before in range(len(tracks)):
        low = np.searchsorted(begins, lasts.times_s[before], side="right")
        high = np.searchsorted(begins, lasts.times_s[before] + max(max_gap_s, max_standing_s) + 1e-9, side="right")
        after = order[low:high]
        costs = _costs(lasts, before, firsts, after, (max_gap_s, max_standing_s))
        costs += ((lengths[after] - lengths[before]) / LENGTH_M) ** 2
        for cost, number in zip(costs.tolist(), after.tolist(), strict=True):
            gap = lasts.times_s[before], firsts.times_s[number]
            if cost < WORST and not (
                gap[1] - gap[0] > max_gap_s and passing.between(lasts.places[before], *gap, (before, number))
            ):
                pairs.append((cost, before, number))
    following: dict[int, int] = {}
    taken: set[int] = set()
    for _, before, after_it in sorted(pairs):
        if before not in following and after_it not in taken:
            following[before] = after_it
            taken.add(after_it)
    joined = flickers
    for number in range(len(tracks)):
        if number in taken:
            continue
        whole = Track()
        part: int | None = number
        while part is not None:
            whole.rows.extend(tracks[part].rows)
            whole.shared.extend(tracks[part].shared)
            part = following.get(part)
        joined.append(whole)
    return joined


class _Passing:
    """Positions over time: no other vehicle drives through one that is stopped in a gap."""

    def __init__(self, boxes: Table, tracks: list[Track]) -> None:
        rows = np.concatenate([track.rows for track in tracks])
        self.times_s = boxes["time_s"][rows]
        self.numbers = np.repeat(np.arange(len(tracks)), [len(track.rows) for track in tracks])
        self.places = Places(np.column_stack([boxes["x_m"], boxes["y_m"]])[rows])

    def between(self, place: Floats, start_s: float, end_s: float, own: tuple[int, int]) -> bool:
        """Whether tracks other than these two were at a position within a time span."""
        near = self.places.within(place, THROUGH_M)
        times = self.times_s[near]
        return bool(((times > start_s) & (times < end_s) & ~np.isin(self.numbers[near], own)).any())


def _ends(boxes: Table, tracks: list[Track], way: int) -> _Ends:
    """Lines fitted through the boxes at one end of each track: the first (way 1) or the last (way -1)."""
    found = []
    for track in tracks:
        rows = np.array(track.rows)[::way]
        times = boxes["time_s"][rows]
        near = np.abs(times - times[0]) <= AROUND_S
        passed, places = times[near] - times[0], np.column_stack([boxes["x_m"], boxes["y_m"]])[rows[near]]
        centred = passed - passed.mean()
        spread = float((centred**2).sum())
        velocity = centred @ places / spread if spread > 0 else np.zeros(2)
        doubt = BOX_NOISE_M / np.sqrt(spread) if spread > 0 else 15.0
        whole = boxes["whole"][rows] == 1
        cut = not whole[0] and whole.any()
        found.append((times[0], *(places.mean(axis=0) - velocity * passed.mean()), *velocity, doubt, cut))
    table = np.array(found)
    return _Ends(table[:, 0], table[:, 1:3], table[:, 3:5], table[:, 5], table[:, 6] > 0)


def _costs(lasts: _Ends, before: int, firsts: _Ends, after: Floats, limits_s: tuple[float, float]) -> Floats:
    """How poorly tracks `after` continue track `before`: squared standard deviations."""
    gap = firsts.times_s[after] - lasts.times_s[before]
    way = firsts.places[after] - lasts.places[before]
    old, new = lasts.velocities[before], firsts.velocities[after]
    doubt = np.hypot(lasts.doubt_m_s[before], firsts.doubt_m_s[after])
    off = way - (old + new) / 2 * gap[:, None]
    apart = PLACE_M + SURPRISE_M_S2 * gap**2 / 4 + np.minimum(doubt, 5) * gap / 2
    change = np.hypot(VELOCITY_M_S + SURPRISE_M_S2 * gap, doubt)
    driving = (off**2).sum(axis=1) / apart**2 + ((new - old) ** 2).sum(axis=1) / change**2
    driving[gap > limits_s[0]] = np.inf
    # A vehicle that was stopped in the gap braked and accelerated at the usual rate.
    quick = (np.linalg.norm(old), np.linalg.norm(new, axis=1))
    ways = (old * quick[0] + new * quick[1][:, None]) / (2 * STARTING_M_S2)
    far = np.linalg.norm(ways, axis=1)
    standing = ((way - ways) ** 2).sum(axis=1) / (PLACE_M + far / 3) ** 2 * 2
    stood = np.minimum(quick[0], quick[1]) < STANDING_M_S
    # What leaves the picture has not stopped, though what the border leaves of it seems to be half as fast.
    stood &= ~(lasts.cut[before] & (quick[0] > LEAVING_M_S)) & ~(firsts.cut[after] & (quick[1] > LEAVING_M_S))
    standing[~stood | (far > FURTHEST_M) | (doubt > VELOCITY_M_S) | (gap > limits_s[1])] = np.inf
    costs: Floats = np.minimum(driving, standing)
    return costs
