"""How far trajectories are from the truth of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.tables import groups, read_table

SAME_VEHICLE_M = 1.5


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found. A vehicle counts where its whole outline is in view; a match is nearer than SAME_VEHICLE_M.

    `vehicles_found`: share of the vehicles that are matched at least half of the time they are in view.
    `recall`, `precision`: shares of all true and of all given places. `identity_switches`: how often a vehicle gets
    another number. Errors are over all matched places.
    """

    vehicles: int
    tracks: int
    vehicles_found: float
    recall: float
    precision: float
    identity_switches: int
    position_error_median_m: float
    position_error_p95_m: float
    speed_error_median_km_h: float
    speed_error_p95_km_h: float


def evaluate(trajectories: Path, truth: Path) -> Figures:
    """Compare `trajectories.csv` with `truth.csv`, frame by frame."""
    given = groups(read_table(trajectories, ("track_id", "frame", "x_m", "y_m", "speed_km_h")), "frame")
    table = read_table(truth, ("vehicle_id", "frame", "x_m", "y_m", "speed_m_s", "visible"))
    true = groups(table, "frame")
    in_view: dict[int, int] = {}
    matched: dict[int, list[int]] = {}
    places, speeds = [], []
    count_true = count_given = count_false = 0
    tracks: set[int] = set()
    for frame, known in true.items():
        visible = known["visible"] == 1
        for number in known["vehicle_id"][visible].tolist():
            in_view[number] = in_view.get(number, 0) + 1
        count_true += int(visible.sum())
        found = given.get(frame)
        if found is None:
            continue
        tracks.update(found["track_id"].tolist())
        count_given += len(found["track_id"])
        distances = np.hypot(found["x_m"][:, None] - known["x_m"][None], found["y_m"][:, None] - known["y_m"][None])
        rows, columns = linear_sum_assignment(np.minimum(distances, 10 * SAME_VEHICLE_M))
        near = distances[rows, columns] < SAME_VEHICLE_M
        count_false += len(found["track_id"]) - int(near.sum())
        for row, column in zip(rows[near], columns[near], strict=True):
            if not visible[column]:
                continue
            matched.setdefault(int(known["vehicle_id"][column]), []).append(int(found["track_id"][row]))
            places.append(distances[row, column])
            speeds.append(abs(found["speed_km_h"][row] - 3.6 * known["speed_m_s"][column]))
    hits = sum(len(numbers) for numbers in matched.values())
    enough = [number for number, frames in in_view.items() if len(matched.get(number, [])) >= frames / 2]
    switches = sum(int(np.count_nonzero(np.diff(numbers))) for numbers in matched.values())
    error = np.array(places) if places else np.array([np.nan])
    speed = np.array(speeds) if speeds else np.array([np.nan])
    return Figures(
        len(in_view), len(tracks), len(enough) / max(1, len(in_view)), hits / max(1, count_true),
        1 - count_false / max(1, count_given), switches, float(np.median(error)), float(np.percentile(error, 95)),
        float(np.median(speed)), float(np.percentile(speed, 95)),
    )  # fmt: skip
