"""One row per vehicle: times, distance, speeds and movement."""

from __future__ import annotations

import numpy as np

from tracker.geometry import angle_between
from tracker.tables import Table, groups

TURN_RAD = np.radians(45)
BACK_RAD = np.radians(135)
COLUMNS = (
    "track_id", "class", "length_m", "width_m", "first_time_s", "last_time_s", "distance_m", "mean_speed_km_h",
    "max_speed_km_h", "movement", "lane_id",
)  # fmt: skip


def vehicles(tracks: Table) -> Table:
    """Summarise the vehicles of a table of tracks."""
    rows = []
    for number, track in groups(tracks, "track_id").items():
        steps = np.hypot(np.diff(track["x_m"]), np.diff(track["y_m"]))
        speeds = track["speed_m_s"] * 3.6
        lanes = [lane for lane in track["lane_id"] if lane]
        rows.append(
            {
                "track_id": number,
                "class": track["class"][0],
                "length_m": track["length_m"][0],
                "width_m": track["width_m"][0],
                "first_time_s": track["time_s"][0],
                "last_time_s": track["time_s"][-1],
                "distance_m": steps.sum(),
                "mean_speed_km_h": speeds.mean(),
                "max_speed_km_h": speeds.max(),
                "movement": _movement(np.radians(track["heading_deg"])),
                "lane_id": max(sorted(set(lanes)), key=lanes.count) if lanes else "",
            }
        )
    return {name: np.array([row[name] for row in rows], dtype=object) for name in COLUMNS}


def _movement(headings: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    """Turn between the first and last heading; a vehicle that enters or leaves mid-turn shows only a part."""
    turned = float(np.sum(angle_between(headings[1:], headings[:-1])))
    if abs(turned) < TURN_RAD:
        return "straight"
    if abs(turned) > BACK_RAD:
        return "back"
    return "left" if turned > 0 else "right"
