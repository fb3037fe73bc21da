"""Each vehicle's motion: stops, heading, and the position behind boxes that show only a part of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from tracker.arrays import Flags, Floats, runs
from tracker.geometry import angle_between
from tracker.smoothing import Moments, smooth

# Below this speed, the direction of motion says little about the heading.
SLOW_M_S = 1.5
# A larger turn between two moments of motion means that the vehicle stopped and reversed.
BACKING_RAD = 2.1
# Below this speed over a second a vehicle is stopped, unless it keeps moving at more than half of it.
STANDING_M_S, STANDING_WINDOW_S, CREEPING_M_S = 0.2, 1.0, 0.1
# If sizes differ by more than this, the box is aligned with its vehicle at an edge.
UNLIKE_M = 0.5
# A position derived from one edge is less accurate.
CUT_NOISE_M, CUT_SHARE = 0.3, 0.3
# At this speed sideways jerk equals lengthways jerk; below, it is smaller.
LIVELY_M_S = 6.0
LEAST_SIDEWAYS = 0.02
# After this many network observations, the network's position has half the weight.
FEW_LOOKS = 2
# Degrees of freedom of the assumed error distribution: fewer means less weight for outliers.
FREEDOM = 4.0
ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """The boxes of all vehicles, n rows, concatenated as in `Moments`; NaN where a vehicle was not seen."""

    lengths: Flags
    times_s: Floats
    places: Floats
    axes: Floats
    sizes: Floats
    noise_m: Floats
    seen: Flags
    vehicle_sizes: Floats  # n x 2
    cut: Flags  # the end that is out of view: 1 front, -1 rear, 0 none or unknown
    looks: Floats  # n x 2: the network's position if the position used is motion's; else NaN
    by_network: Flags  # the position used is the network's

    def each(self) -> list[slice]:
        """The rows of each vehicle."""
        ends = np.cumsum(self.lengths).tolist()
        return [slice(end - length, end) for end, length in zip(ends, self.lengths.tolist(), strict=True)]

    def part(self, vehicles: list[int], rows: Flags) -> Sightings:
        """A subset of vehicles; `rows` are their moments."""
        rest = (getattr(self, item.name)[rows] for item in fields(self)[1:])
        return Sightings(self.lengths[vehicles], *rest)


@dataclass(frozen=True, slots=True, eq=False)
class Motions:
    """The result of smoothing."""

    states: Floats
    spreads: Floats
    headings: Floats
    still: Flags

    def part(self, rows: Flags) -> Motions:
        """A subset of moments."""
        return Motions(*(getattr(self, item.name)[rows] for item in fields(self)))


def moved(sightings: Sightings, jerk: float) -> Motions:
    """Smooth in rounds: each uses headings, stops and visible edges from the previous one."""
    count = len(sightings.times_s)
    moments = Moments(
        sightings.lengths,
        sightings.times_s,
        sightings.places,
        _oriented(sightings.axes, *_doubt(sightings)),
        sightings.seen,
        np.broadcast_to(np.eye(2) * jerk, (count, 2, 2)),
        np.zeros(count),
        np.zeros(count, bool),
    )
    states, spreads = smooth(moments)
    for _ in range(ROUNDS - 1):
        headings = _headings(sightings, states)
        still = _still(sightings, states)
        speed = np.hypot(*states[:, 2:4].T)
        sideways = jerk * np.clip((speed / LIVELY_M_S) ** 2, LEAST_SIDEWAYS, 1)
        places, noise = _laid(sightings, headings, states, spreads)
        turn = np.zeros(count)
        turn[:-1] = np.diff(headings)
        moments = replace(
            moments,
            places=places,
            noise=noise,
            jerk=_oriented(headings, np.full(count, jerk), sideways),
            turn=turn,
            still=still,
        )
        states, spreads = smooth(moments)
    states[moments.still, 2:] = 0
    return Motions(states, spreads, _headings(sightings, states), moments.still)


def _doubt(sightings: Sightings) -> tuple[Floats, Floats]:
    """Variances along and across a box whose visible edges are not yet known."""
    unlike = np.abs(sightings.sizes - sightings.vehicle_sizes)
    along, across = (sightings.noise_m[:, None] ** 2 + np.where(unlike > UNLIKE_M, unlike / 2, 0) ** 2).T
    return along, across


def _laid(sightings: Sightings, headings: Floats, states: Floats, spreads: Floats) -> tuple[Floats, Floats]:
    """Positions after aligning parts and merged boxes with their vehicles at an edge, and error covariances."""
    ways = np.stack([np.cos(headings), np.sin(headings), -np.sin(headings), np.cos(headings)], -1).reshape(-1, 2, 2)
    off = np.einsum("nij,nj->ni", ways, states[:, :2] - sightings.places)
    unlike = np.abs(sightings.sizes - sightings.vehicle_sizes)
    slack = np.where(unlike > UNLIKE_M, unlike / 2, 0)
    shift = np.sign(off) * np.where(np.abs(off) > slack / 2, slack, 0)
    # If the border cuts the box, the visible edge is known.
    missing = np.maximum(sightings.vehicle_sizes[:, 0] - sightings.sizes[:, 0], 0) / 2
    shift[:, 0] = np.where(sightings.cut == 0, shift[:, 0], sightings.cut * missing)
    slack[:, 0] = np.where(sightings.cut == 0, slack[:, 0], CUT_NOISE_M + CUT_SHARE * missing)
    shift += _reconciled(sightings, ways)
    variances = sightings.noise_m[:, None] ** 2 + (0.3 * slack) ** 2
    # Poor fits get less weight, as with errors from Student's distribution.
    expected = np.einsum("nij,njk,nik->ni", ways, spreads[:, :2, :2], ways)
    squared = ((off - shift) ** 2 / (variances + expected)).sum(axis=1)
    weight = (FREEDOM + 2) / (FREEDOM + squared)
    variances /= np.minimum(weight, 1)[:, None]
    return sightings.places + np.einsum("nij,ni->nj", ways, shift), _oriented(headings, *variances.T)


def _reconciled(sightings: Sightings, ways: Floats) -> Floats:
    """Offsets, along and across, from each position to the midpoint between the motion and network positions.

    Each sees a different outline, with an error that is constant while the vehicle looks the same; the mean is more
    accurate.
    """
    apart: Floats = np.einsum("nij,nj->ni", ways, sightings.looks - sightings.places)
    shift: Floats = np.zeros_like(apart)
    for rows in sightings.each():
        pairs = apart[rows][np.isfinite(apart[rows, 0])]
        if len(pairs):
            half = np.median(pairs, axis=0) / 2 * len(pairs) / (len(pairs) + FEW_LOOKS)
            shift[rows] = np.where(sightings.by_network[rows, None], -half, half)
    return shift


def _oriented(headings: Floats, along: Floats, across: Floats) -> Floats:
    """Covariances (n x 2 x 2) from variances along and across."""
    cos, sin = np.cos(headings), np.sin(headings)
    xx, yy, xy = along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin
    whole: Floats = np.stack([xx, xy, xy, yy], -1).reshape(-1, 2, 2)
    return whole


def _still(sightings: Sightings, states: Floats) -> Flags:
    """When vehicles are stopped. Creeping vehicles are not held: they would jump when they speed up."""
    still = np.zeros(len(states), bool)
    half = STANDING_WINDOW_S / 2
    for rows in sightings.each():
        times, places = sightings.times_s[rows], states[rows, :2]
        begin, end = np.maximum(times - half, times[0]), np.minimum(times + half, times[-1])
        way = np.hypot(*(np.interp(end, times, axis) - np.interp(begin, times, axis) for axis in places.T))
        slow = way < STANDING_M_S * (end - begin)
        for first, end in runs(slow):
            way_m, time_s = np.hypot(*(places[end - 1] - places[first])), times[end - 1] - times[first]
            slow[first:end] = way_m <= CREEPING_M_S * time_s
        still[rows] = slow
    return still


def _headings(sightings: Sightings, states: Floats) -> Floats:
    """Headings (radians, unwrapped): along the motion while moving.

    While stopped, the last (or next) heading. Vehicles that never move fast enough point along their boxes.
    """
    headings = np.zeros(len(states))
    speeds = np.hypot(*states[:, 2:4].T)
    directions = np.arctan2(states[:, 3], states[:, 2])
    for rows in sightings.each():
        moving = np.flatnonzero(speeds[rows] >= SLOW_M_S)
        if len(moving):
            ahead = _forwards(directions[rows][moving], speeds[rows][moving])
            headings[rows] = np.interp(np.arange(rows.stop - rows.start), moving, ahead)
        else:
            axes = sightings.axes[rows][sightings.seen[rows]]
            axis = 0.5 * np.arctan2(np.sin(2 * axes).mean(), np.cos(2 * axes).mean())
            way = states[rows.stop - 1, :2] - states[rows.start, :2]
            back = abs(angle_between(axis, np.arctan2(way[1], way[0]))) > np.pi / 2
            headings[rows] = axis + np.pi * back
    return headings


def _forwards(directions: Floats, speeds: Floats) -> Floats:
    """Directions of motion, reversed where the vehicle backs up: the lesser part of its course."""
    turned = np.concatenate([[0], np.abs(angle_between(directions[1:], directions[:-1])) > BACKING_RAD])
    other = np.cumsum(turned) % 2 == 1
    backing = other if speeds[other].sum() <= speeds[~other].sum() else ~other
    ahead: Floats = np.unwrap(directions + np.pi * backing)
    return ahead
