"""Detector boxes of vehicles with known trajectories."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tracker.simulation.traffic import Traffic
from tracker.tables import Table

VIEW_M = (50.0, 30.0)


def boxes(rows: Sequence[tuple[int, float, float, float]], *, step_s: float = 0.1, **columns: object) -> Table:
    """One box per row: frame, x, y, heading in degrees; a car detected by a network unless `columns` override it."""
    frame, x, y, heading = (np.array(values) for values in zip(*rows, strict=True))
    count = len(frame)
    usual: dict[str, object] = {
        "length_m": 4.5, "width_m": 1.8, "score": 0.9, "whole": 1, "class": "car", "source": "network",
        "position_std_m": 0.1,
    }  # fmt: skip
    table: Table = {"frame": frame, "time_s": frame * step_s, "x_m": x, "y_m": y, "heading_deg": heading}
    for name, value in (usual | columns).items():
        kind = object if name in ("class", "source") else None
        table[name] = np.array(np.broadcast_to(np.asarray(value, kind), count))
    return table


def camera(frames: int, *, step_s: float = 0.1) -> Table:
    """Every frame of the film and its time."""
    return {"frame": np.arange(frames), "time_s": np.arange(frames) * step_s}


@functools.cache
def driven(seed: int, seconds: float, *, noise_m: float) -> tuple[Table, Table]:
    """Noisy boxes of simulated traffic, and the truth: vehicle_id, frame, x_m, y_m, speed_m_s.

    Cached: do not modify.
    """
    random = np.random.default_rng(seed)
    rows, sizes, true = [], [], []
    for frame, (_, vehicles) in enumerate(Traffic(seed, 0.1).frames(seconds)):
        for vehicle in vehicles:
            x, y, heading = vehicle.pose
            if abs(x) < VIEW_M[0] and abs(y) < VIEW_M[1]:
                dx, dy = random.normal(0, noise_m, 2)
                rows.append((frame, x + dx, y + dy, float(np.degrees(heading)) + 180 * random.integers(2)))
                sizes.append((vehicle.length_m, vehicle.width_m))
                true.append((vehicle.number, frame, x, y, vehicle.speed_m_s))
    lengths, widths = np.array(sizes).T
    table = boxes(rows, length_m=lengths, width_m=widths, position_std_m=noise_m)
    names = ("vehicle_id", "frame", "x_m", "y_m", "speed_m_s")
    return table, dict(zip(names, np.array(true).T, strict=True))
