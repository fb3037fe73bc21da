"""Positions of each vehicle on every frame of the film, interpolated from the smoothed states of searched frames."""

from __future__ import annotations

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.geometry import angle_between
from tracker.motion import Motions, Sightings
from tracker.tables import Table

# Half of the values of a normal distribution are closer than this, in standard deviations.
PROBABLE_ERROR = 0.6745
# Frames and moments with a smaller time difference are the same.
SAME_S = 1e-6


def trajectories(sightings: Sightings, motions: Motions, camera: Table) -> Table:
    """One row per vehicle (numbered from 1 in the order of `sightings`) and frame, from its first to its last box.

    `camera` has `frame` and `time_s` of all frames. Between moments, the motion is the polynomial that matches the
    position, velocity and acceleration at both: the most likely motion if the jerk is white noise.
    """
    track, rows, before = _laid_out(sightings, camera["time_s"])
    ends = np.cumsum(sightings.lengths)
    after = np.minimum(before + 1, ends[track] - 1)
    times, known = camera["time_s"][rows], sightings.times_s
    seconds = known[after] - known[before]
    share = np.where(after > before, np.clip((times - known[before]) / np.where(seconds > 0, seconds, 1), 0, 1), 0)
    place, velocity, acceleration = between(motions.states[before], motions.states[after], seconds, share)

    def mixed(values: Floats) -> Floats:
        between: Floats = values[before] + share * (values[after] - values[before])
        return between

    headings = mixed(motions.headings)
    ahead = np.column_stack([np.cos(headings), np.sin(headings)])
    towards = np.column_stack([np.cos(motions.headings), np.sin(motions.headings)])
    speed_variance = np.einsum("ni,nij,nj->n", towards, motions.spreads[:, 2:4, 2:4], towards)
    place_variance = np.trace(motions.spreads[:, :2, :2], axis1=1, axis2=2) / 2
    observed = sightings.seen[before] & (np.abs(times - known[before]) < SAME_S)
    lengths, widths = sightings.vehicle_sizes[before].T
    return {
        "track_id": track + 1,
        "frame": camera["frame"][rows],
        "time_s": times,
        "x_m": place[:, 0],
        "y_m": place[:, 1],
        "heading_deg": np.degrees(angle_between(headings, 0.0)),
        "speed_m_s": np.hypot(*velocity.T),
        "acceleration_m_s2": (acceleration * ahead).sum(axis=1),
        "vx_m_s": velocity[:, 0],
        "vy_m_s": velocity[:, 1],
        "length_m": lengths,
        "width_m": widths,
        "position_std_m": np.sqrt(mixed(place_variance) + common_error(sightings, motions) ** 2),
        "speed_std_m_s": np.sqrt(np.maximum(mixed(speed_variance), 0)),
        "observed": observed.astype(np.int64),
    }


def common_error(sightings: Sightings, motions: Motions) -> float:
    """The common error of all boxes of a vehicle in metres, which smoothing cannot detect.

    Boxes are expected to err by their noise. If they are closer to the smoothed path, beyond what its fit explains,
    they must share an error.
    """
    seen = sightings.seen
    off = sightings.places[seen] - motions.states[seen, :2]
    scattered = float(np.median(np.abs(off))) / PROBABLE_ERROR
    followed = float(np.median(np.trace(motions.spreads[seen, :2, :2], axis1=1, axis2=2))) / 2
    return float(np.sqrt(max(np.median(sightings.noise_m[seen]) ** 2 - scattered**2 - followed, 0)))


def _laid_out(sightings: Sightings, times_s: Floats) -> tuple[Flags, Flags, Flags]:
    """For each row: the vehicle, the frame, and the vehicle's last moment at or before it."""
    tracks, rows, before = [], [], []
    for number, moments in enumerate(sightings.each()):
        known = sightings.times_s[moments]
        span = np.arange(*np.searchsorted(times_s, [known[0] - SAME_S, known[-1] + SAME_S]))
        tracks.append(np.full(len(span), number))
        rows.append(span)
        before.append(moments.start + np.maximum(np.searchsorted(known, times_s[span] + SAME_S) - 1, 0))
    return np.concatenate(tracks), np.concatenate(rows), np.concatenate(before)


def between(before: Floats, after: Floats, seconds: Floats, share: Floats) -> tuple[Floats, Floats, Floats]:
    """Position, velocity and acceleration (n x 2 each) at a fraction of the time between states (n x 6): quintic
    Hermite.
    """
    # The last moment of a vehicle has no successor: any step will do.
    t, s = np.where(seconds > 0, seconds, 1)[:, None], share[:, None]
    place, velocity, acceleration = before[:, :2], before[:, 2:4] * t, before[:, 4:] * t**2
    far = after[:, :2] - place - velocity - acceleration / 2
    fast = after[:, 2:4] * t - velocity - acceleration
    bent = after[:, 4:] * t**2 - acceleration
    cubic, quartic, quintic = 10 * far - 4 * fast + bent / 2, -15 * far + 7 * fast - bent, 6 * far - 3 * fast + bent / 2
    return (
        place + s * (velocity + s * (acceleration / 2 + s * (cubic + s * (quartic + s * quintic)))),
        (velocity + s * (acceleration + s * (3 * cubic + s * (4 * quartic + s * 5 * quintic)))) / t,
        (acceleration + s * (6 * cubic + s * (12 * quartic + s * 20 * quintic))) / t**2,
    )
