"""Writes the trajectories as tables that other programs read, with units in the headers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.contract import Report, StageFiles
from tracker.geometry import transform
from tracker.ground import Ground
from tracker.parameters import parameter
from tracker.summary import vehicles
from tracker.tables import Table, read_table, select, write_table


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    export_rate_hz: float = parameter(0.0, "rows a second and vehicle; 0: one on each frame", minimum=0)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `trajectories.csv` (one row a vehicle and moment) and `vehicles.csv` (one row a vehicle)."""
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    tracks = read_table(files.upstream("detect_lanes", "tracks.csv"), ("track_id", "frame", "x_m", "y_m", "lane_id"))
    thinned = _thinned(tracks, parameters.export_rate_hz)
    pixels = transform(np.linalg.inv(ground.to_world), np.column_stack([thinned["x_m"], thinned["y_m"]]))
    columns = {
        "track_id": thinned["track_id"],
        "frame": thinned["frame"],
        "time_s": thinned["time_s"],
        "x_m": thinned["x_m"],
        "y_m": thinned["y_m"],
        "position_std_m": thinned["position_std_m"],
        "heading_deg": thinned["heading_deg"],
        "speed_km_h": thinned["speed_m_s"] * 3.6,
        "acceleration_m_s2": thinned["acceleration_m_s2"],
        "lane_id": thinned["lane_id"],
        "class": thinned["class"],
        "length_m": thinned["length_m"],
        "width_m": thinned["width_m"],
        "reference_x_px": pixels[:, 0],
        "reference_y_px": pixels[:, 1],
        "observed": thinned["observed"],
    }
    write_table(files.output("trajectories.csv"), columns)
    table = vehicles(tracks)
    write_table(files.output("vehicles.csv"), table)
    report.progress("vehicles", len(table["track_id"]), len(table["track_id"]))
    report.result("vehicles", len(table["track_id"]))
    report.result("rows", len(columns["frame"]))


def _thinned(tracks: Table, rate_hz: float) -> Table:
    """At most `rate_hz` rows a second, on the same moments for all vehicles."""
    if rate_hz <= 0:
        return tracks
    times = np.unique(tracks["time_s"])
    slots = np.floor(times * rate_hz + 1e-6)
    kept = times[np.concatenate([[True], np.diff(slots) > 0])]
    return select(tracks, np.isin(tracks["time_s"], kept))
