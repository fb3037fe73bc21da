"""How each vehicle moved: where it stood, which way it points, and where it is if a box shows only a part of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from tracker.arrays import Flags, Floats, runs
from tracker.geometry import angle_between
from tracker.smoothing import Moments, smooth

# Below, the direction of motion says little about the direction of the vehicle.
SLOW_M_S = 1.5
# Whoever turns by more than this between two moments of motion has stopped and backs up.
BACKING_RAD = 2.1
# Slower than this over a second is standing; but not what gets on at more than half of that all the while.
STANDING_M_S, STANDING_WINDOW_S, CREEPING_M_S = 0.2, 1.0, 0.1
# A box is laid edge to edge with its vehicle if its size differs by more than this.
UNLIKE_M = 0.5
# A place that is told from one edge errs more.
CUT_NOISE_M, CUT_SHARE = 0.3, 0.3
# Sideways a vehicle jerks as much as lengthways at this speed, and less when it is slower.
LIVELY_M_S = 6.0
LEAST_SIDEWAYS = 0.02
# Of so many looks the network's place is half believed.
FEW_LOOKS = 2
# Degrees of freedom of the distribution that errors are taken from: the fewer, the less outliers count.
FREEDOM = 4.0
ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """The boxes of all vehicles at their moments, n rows, laid end to end as in `Moments`; NaN where none was seen."""

    lengths: Flags
    times_s: Floats
    places: Floats
    axes: Floats
    sizes: Floats
    noise_m: Floats
    seen: Flags
    vehicle_sizes: Floats  # n x 2
    cut: Flags  # the end that is out of view: 1 the front, -1 the rear, 0 none or not known
    looks: Floats  # n x 2: where the network saw it too, if the place is motion's; else NaN
    by_network: Flags  # the place is the network's

    def each(self) -> list[slice]:
        """The rows of each vehicle."""
        ends = np.cumsum(self.lengths).tolist()
        return [slice(end - length, end) for end, length in zip(ends, self.lengths.tolist(), strict=True)]

    def part(self, vehicles: list[int], rows: Flags) -> Sightings:
        """Of some vehicles; `rows` are their moments."""
        rest = (getattr(self, item.name)[rows] for item in fields(self)[1:])
        return Sightings(self.lengths[vehicles], *rest)


@dataclass(frozen=True, slots=True, eq=False)
class Motions:
    """What is known after smoothing."""

    states: Floats
    spreads: Floats
    headings: Floats
    still: Flags

    def part(self, rows: Flags) -> Motions:
        """Of some moments."""
        return Motions(*(getattr(self, item.name)[rows] for item in fields(self)))


def moved(sightings: Sightings, jerk: float) -> Motions:
    """Smooth in rounds: each knows from the one before how vehicles point, where they stood, which edges were seen."""
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
    """Variances along and across the box, of a box whose edges are not told apart yet."""
    unlike = np.abs(sightings.sizes - sightings.vehicle_sizes)
    along, across = (sightings.noise_m[:, None] ** 2 + np.where(unlike > UNLIKE_M, unlike / 2, 0) ** 2).T
    return along, across


def _laid(sightings: Sightings, headings: Floats, states: Floats, spreads: Floats) -> tuple[Floats, Floats]:
    """Places with parts and merged boxes laid edge to edge with their vehicles, and the covariances of their errors."""
    ways = np.stack([np.cos(headings), np.sin(headings), -np.sin(headings), np.cos(headings)], -1).reshape(-1, 2, 2)
    off = np.einsum("nij,nj->ni", ways, states[:, :2] - sightings.places)
    unlike = np.abs(sightings.sizes - sightings.vehicle_sizes)
    slack = np.where(unlike > UNLIKE_M, unlike / 2, 0)
    shift = np.sign(off) * np.where(np.abs(off) > slack / 2, slack, 0)
    # Where the border cuts, the edge in view is known.
    missing = np.maximum(sightings.vehicle_sizes[:, 0] - sightings.sizes[:, 0], 0) / 2
    shift[:, 0] = np.where(sightings.cut == 0, shift[:, 0], sightings.cut * missing)
    slack[:, 0] = np.where(sightings.cut == 0, slack[:, 0], CUT_NOISE_M + CUT_SHARE * missing)
    shift += _reconciled(sightings, ways)
    variances = sightings.noise_m[:, None] ** 2 + (0.3 * slack) ** 2
    # What does not fit counts less, as if errors came from Student's distribution.
    expected = np.einsum("nij,njk,nik->ni", ways, spreads[:, :2, :2], ways)
    squared = ((off - shift) ** 2 / (variances + expected)).sum(axis=1)
    weight = (FREEDOM + 2) / (FREEDOM + squared)
    variances /= np.minimum(weight, 1)[:, None]
    return sightings.places + np.einsum("nij,ni->nj", ways, shift), _oriented(headings, *variances.T)


def _reconciled(sightings: Sightings, ways: Floats) -> Floats:
    """How far, along and across, places are from the middle between where motion and where the network see the vehicle.

    Each sees another outline, and errs in its own way for as long as the vehicle looks the same; their mean errs less.
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
    """Covariances, n x 2 x 2, of these variances along and across."""
    cos, sin = np.cos(headings), np.sin(headings)
    xx, yy, xy = along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin
    whole: Floats = np.stack([xx, xy, xy, yy], -1).reshape(-1, 2, 2)
    return whole


def _still(sightings: Sightings, states: Floats) -> Flags:
    """When vehicles stand. Who creeps is not held: it would have to leap to where it is once it is quicker."""
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
    """Where vehicles point (radians, without jumps): along their motion while they move.

    While they stand, the way they last (or next) did. Who never moves fast enough points along its boxes.
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
    """Directions of motion with those in which the vehicle backs up turned round: the lesser part of its way."""
    turned = np.concatenate([[0], np.abs(angle_between(directions[1:], directions[:-1])) > BACKING_RAD])
    other = np.cumsum(turned) % 2 == 1
    backing = other if speeds[other].sum() <= speeds[~other].sum() else ~other
    ahead: Floats = np.unwrap(directions + np.pi * backing)
    return ahead
