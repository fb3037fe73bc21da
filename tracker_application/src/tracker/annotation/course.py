"""The course of a labelled vehicle between the frames on which it was placed, and the ground truth table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tracker.annotation.labels import Labels, Stand, Vehicle
from tracker.annotation.view import View
from tracker.arrays import Floats
from tracker.tables import from_rows
from tracker.trajectories import between

TRUTH_COLUMNS = (
    "frame", "time_s", "vehicle_id", "class", "x_m", "y_m", "heading_deg", "speed_m_s", "length_m", "width_m", "visible"
)  # fmt: skip


def course(vehicle: Vehicle, times_s: Floats, frames: Floats) -> tuple[Floats, Floats]:
    """Positions and headings (n x 3), and speeds in m/s, on frames from its first to its last.

    Velocities and accelerations where it was placed are differences of the neighbours there. The speed of a vehicle
    that was placed once is unknown (NaN).
    """
    placed = np.array(sorted(vehicle.stands))
    stands = [vehicle.stands[frame] for frame in placed.tolist()]
    places = np.array([[stand.x_m, stand.y_m] for stand in stands])
    headings = np.unwrap([stand.heading_rad for stand in stands])
    if len(placed) == 1:
        return np.tile([*places[0], headings[0]], (len(frames), 1)), np.full(len(frames), np.nan)
    known = times_s[placed]
    velocities = np.gradient(places, known, axis=0)
    states = np.column_stack([places, velocities, np.gradient(velocities, known, axis=0)])
    before = np.clip(np.searchsorted(placed, frames, side="right") - 1, 0, len(placed) - 2)
    seconds = known[before + 1] - known[before]
    share = (times_s[frames] - known[before]) / seconds
    at, velocity, _ = between(states[before], states[before + 1], seconds, share)
    return np.column_stack([at, np.interp(times_s[frames], known, headings)]), np.hypot(*velocity.T)


def stand_at(vehicle: Vehicle, times_s: Floats, frame: int) -> Stand | None:
    """Where it stands on a frame; None before its first and after its last."""
    if not vehicle.first <= frame <= vehicle.last:
        return None
    if frame in vehicle.stands:
        return vehicle.stands[frame]
    return Stand(*course(vehicle, times_s, np.array([frame]))[0][0].tolist())


def stand_beyond(vehicle: Vehicle, times_s: Floats, frame: int) -> Stand:
    """Where it would stand before its first or after its last frame if it had gone on as it did there."""
    placed = sorted(vehicle.stands)
    end, inner = (placed[0], placed[min(1, len(placed) - 1)]) if frame < placed[0] else (placed[-1], placed[-2:][0])
    stand, other = vehicle.stands[end], vehicle.stands[inner]
    share = float((times_s[frame] - times_s[end]) / (times_s[end] - times_s[inner])) if end != inner else 0.0
    return Stand(
        stand.x_m + share * (stand.x_m - other.x_m), stand.y_m + share * (stand.y_m - other.y_m), stand.heading_rad
    )


def truth_frames(labels: Labels) -> list[int]:
    """The frames with ground truth: those that were checked, and those between two neighbours that were."""
    frames = sorted(labels.checked)
    for first, last in pairwise(labels.frames):
        if {first, last} <= labels.checked:
            frames += range(first + 1, last)
    return sorted(frames)


def truth_rows(labels: Labels, view: View) -> dict[str, Sequence[Any]]:
    """The columns of `truth.csv`: each vehicle on each frame with ground truth."""
    frames = np.array(truth_frames(labels), int)
    rows: list[tuple[Any, ...]] = []
    for number, vehicle in sorted(labels.vehicles.items()):
        for frame, place, speed, known in _places(vehicle, labels, view.times_s, frames):
            whole = known and view.holds(frame, vehicle.kind, vehicle.box(place))
            rows.append((
                frame, float(view.times_s[frame]), number, vehicle.kind, place.x_m, place.y_m,
                float(np.degrees(place.heading_rad)), speed, vehicle.length_m, vehicle.width_m, int(whole),
            ))  # fmt: skip
    rows.sort(key=lambda row: row[:1])
    return from_rows(TRUTH_COLUMNS, rows) if rows else {name: [] for name in TRUTH_COLUMNS}


def _places(
    vehicle: Vehicle, labels: Labels, times_s: Floats, frames: Floats
) -> Iterator[tuple[int, Stand, float, bool]]:
    """Frame, place and speed of a vehicle; and whether it is known to be there.

    Between the last key frame without it and the first one with it, it may come at any time.
    """
    keys = [frame for frame in labels.frames if vehicle.first <= frame <= vehicle.last]
    if not keys:
        return
    before, after = labels.beside(keys[0])[0], labels.beside(keys[-1])[1]
    own = frames[(frames >= vehicle.first) & (frames <= vehicle.last)]
    places, speeds = course(vehicle, times_s, own)
    for frame, place, speed in zip(own.tolist(), places.tolist(), speeds.tolist(), strict=True):
        yield frame, Stand(*place), speed, keys[0] <= frame <= keys[-1]
    maybe = ((frames > before) & (frames < vehicle.first)) | ((frames > vehicle.last) & (frames < after))
    for frame in frames[maybe].tolist():
        yield frame, stand_beyond(vehicle, times_s, frame), float("nan"), False
