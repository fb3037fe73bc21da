"""Kalman filter and Rauch-Tung-Striebel smoother for many vehicles in parallel.

A state has position, velocity and acceleration in x and y: (x, y, vx, vy, ax, ay) in metres and seconds. All vehicles
are concatenated in flat arrays; the n-th moments of all are computed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Flags, Floats

# Prior standard deviations: 15 m/s of speed, 3 m/s2 of acceleration.
FIRST_SPEED_M_S, FIRST_ACCELERATION_M_S2 = 15.0, 3.0
PLACE, VELOCITY, ACCELERATION = slice(0, 2), slice(2, 4), slice(4, 6)
# Moments in memory at once, about 1.5 KB each.
MOST_MOMENTS = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Observations of vehicles: n moments, grouped by vehicle and in time order.

    `lengths` is the number of moments per vehicle. `places` (n x 2) and `noise` (n x 2 x 2, its covariance) are used
    where `seen`. `jerk` (n x 2 x 2, m2/s5) is the jerk density until the next moment, and `turn` (n, radians) the
    rotation of the acceleration. Where `still`, the vehicle is stopped.
    """

    lengths: Flags
    times_s: Floats
    places: Floats
    noise: Floats
    seen: Flags
    jerk: Floats
    turn: Floats
    still: Flags


# Standard deviations for a stopped vehicle: m/s, m/s2.
STILL_M_S, STILL_M_S2 = 0.02, 0.1


def smooth(moments: Moments) -> tuple[Floats, Floats]:
    """States (n x 6) and covariances (n x 6 x 6). Each vehicle must be seen at its first moment."""
    count = len(moments.times_s)
    states, spreads = np.zeros((count, 6)), np.zeros((count, 6, 6))
    starts = np.cumsum(moments.lengths) - moments.lengths
    for vehicles in _portions(moments.lengths):
        _smooth(moments, starts[vehicles], moments.lengths[vehicles], states, spreads)
    return states, spreads


def _portions(lengths: Flags) -> Iterator[Flags]:
    """Portions of vehicles, longest first, so that vehicles in a portion have similar lengths."""
    order = np.argsort(-lengths, kind="stable")
    portion = np.cumsum(lengths[order]) // MOST_MOMENTS
    for number in np.unique(portion):
        yield order[portion == number]


def _smooth(moments: Moments, starts: Flags, lengths: Flags, states: Floats, spreads: Floats) -> None:
    """Compute the states of some vehicles, longest first."""
    live = [int(np.searchsorted(-lengths, -moment, side="left")) for moment in range(int(lengths[0]))]
    predicted: list[tuple[Floats, Floats, Floats]] = []
    for moment, count in enumerate(live):
        at = starts[:count] + moment
        if moment:
            steps, noise = _steps(moments, at - 1)
            state = (steps @ states[at - 1][:, :, None])[..., 0]
            spread = steps @ spreads[at - 1] @ steps.transpose(0, 2, 1) + noise
        else:
            steps = np.zeros((count, 6, 6))
            state = np.column_stack([moments.places[at], np.zeros((count, 4))])
            spread = np.zeros((count, 6, 6))
            spread[:, PLACE, PLACE] = 4 * moments.noise[at]
            spread[:, [2, 3], [2, 3]] = FIRST_SPEED_M_S**2
            spread[:, [4, 5], [4, 5]] = FIRST_ACCELERATION_M_S2**2
        predicted.append((steps, state, spread))
        states[at], spreads[at] = _updated(moments, at, state, spread)
    for moment in range(len(live) - 1, 0, -1):
        ahead = starts[: live[moment]] + moment
        now = ahead - 1
        steps, state, spread = predicted[moment]
        gain = np.linalg.solve(spread, steps @ spreads[now]).transpose(0, 2, 1)
        states[now] += (gain @ (states[ahead] - state)[:, :, None])[..., 0]
        spreads[now] += gain @ (spreads[ahead] - spread) @ gain.transpose(0, 2, 1)


def _updated(moments: Moments, at: Flags, state: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Update with the observations at these moments."""
    state, spread = state.copy(), spread.copy()
    seen, still = moments.seen[at], moments.still[at]
    zero = np.zeros((len(at), 2))
    for which, part, value, noise in (
        (seen, PLACE, moments.places[at], moments.noise[at]),
        (still, VELOCITY, zero, np.broadcast_to(np.eye(2) * STILL_M_S**2, (len(at), 2, 2))),
        (still, ACCELERATION, zero, np.broadcast_to(np.eye(2) * STILL_M_S2**2, (len(at), 2, 2))),
    ):
        rows = np.flatnonzero(which)
        if len(rows):
            shared = spread[rows][:, :, part]
            gain = shared @ _inverse(shared[:, part] + noise[rows])
            state[rows] += (gain @ (value[rows] - state[rows, part])[:, :, None])[..., 0]
            spread[rows] -= gain @ shared.transpose(0, 2, 1)
    return state, (spread + spread.transpose(0, 2, 1)) / 2


def _inverse(matrices: Floats) -> Floats:
    """Inverse of symmetric 2 x 2 matrices; much faster than the general method."""
    a, b, d = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 1]
    inverse: Floats = np.stack([d, -b, -b, a], -1).reshape(-1, 2, 2) / (a * d - b * b)[:, None, None]
    return inverse


def _steps(moments: Moments, at: Flags) -> tuple[Floats, Floats]:
    """Transitions and process noise from these moments to the next ones."""
    t = moments.times_s[at + 1] - moments.times_s[at]
    cos, sin = np.cos(moments.turn[at]), np.sin(moments.turn[at])
    steps = np.zeros((len(at), 6, 6))
    steps[:, range(4), range(4)] = 1
    steps[:, [0, 1], [2, 3]] = steps[:, [2, 3], [4, 5]] = t[:, None]
    steps[:, [0, 1], [4, 5]] = t[:, None] ** 2 / 2
    steps[:, 4, 4], steps[:, 5, 5], steps[:, 4, 5], steps[:, 5, 4] = cos, cos, -sin, sin
    shape = np.stack([t**5 / 20, t**4 / 8, t**3 / 6, t**4 / 8, t**3 / 3, t**2 / 2, t**3 / 6, t**2 / 2, t], -1).reshape(
        -1, 3, 3
    )
    noise = np.einsum("nij,nab->niajb", shape, moments.jerk[at]).reshape(-1, 6, 6)
    return steps, noise
