"""Writes the trajectories as tables with units in their headers, and in the formats of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.arrays import Floats
from tracker.contract import Report, StageFiles
from tracker.errors import ParameterInvalid
from tracker.exports.geo_trax import write_geo_trax
from tracker.exports.geography import write_geojson, write_geopackage
from tracker.exports.levelx import write_highd, write_ind
from tracker.exports.mot import write_mot
from tracker.exports.recording import Recording
from tracker.following import lane_middles
from tracker.ground import Ground
from tracker.homographies import read_homographies
from tracker.parameters import parameter
from tracker.summary import vehicles
from tracker.tables import read_table, select, write_table

WRITERS: dict[str, Callable[[Recording, Callable[[str], Path]], None]] = {
    "highd": write_highd,
    "ind": write_ind,
    "geo_trax": write_geo_trax,
    "geojson": write_geojson,
    "gpkg": write_geopackage,
    "mot": write_mot,
}
ALL_FORMATS = " ".join(WRITERS)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    export_rate_hz: float = parameter(0.0, "rows per second and vehicle; 0: one per frame", minimum=0)
    formats: str = parameter(ALL_FORMATS, "formats to write besides the two tables, or 'none'")


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `trajectories.csv` (one row per vehicle and moment), `vehicles.csv` (one per vehicle), and formats."""
    formats = _formats(parameters.formats)
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    tracks = read_table(
        files.upstream("detect_lanes", "tracks.parquet"), ("track_id", "frame", "x_m", "y_m", "lane_id")
    )
    frames, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    lanes = json.loads(files.upstream("detect_lanes", "lanes.geojson").read_text(encoding="utf-8"))
    kept = _kept(frames["time_s"], parameters.export_rate_hz)
    thinned = select(tracks, np.isin(tracks["frame"], frames["frame"][kept]))
    table = vehicles(tracks)
    recording = Recording(
        thinned, table, ground, lane_middles(lanes), frames["frame"][kept], frames["time_s"][kept], matrices[kept]
    )
    _write_tables(recording, files)
    for done, name in enumerate(formats, 1):
        WRITERS[name](recording, files.output)
        report.progress("formats", done, len(formats))
    report.result("vehicles", len(table["track_id"]))
    report.result("rows", len(thinned["frame"]))
    report.result("formats", " ".join(formats) or "none")


def _formats(text: str) -> list[str]:
    names = [] if text.strip() == "none" else text.replace(",", " ").split()
    unknown = [name for name in names if name not in WRITERS]
    if unknown:
        raise ParameterInvalid(
            f"FORMATS contains {', '.join(unknown)}", remedy=f"Expected some of: {ALL_FORMATS}; or none"
        )
    return list(dict.fromkeys(names))


def _write_tables(recording: Recording, files: StageFiles) -> None:
    thinned, pixels, plane = recording.tracks, recording.reference_px, recording.ground.plane
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
    if any(recording.ground.origin_m):
        east_m, north_m = recording.ground.origin_m
        columns |= {"world_x_m": thinned["x_m"] + east_m, "world_y_m": thinned["y_m"] + north_m}
    if plane is not None and recording.degrees is not None:
        utm = plane.utm(recording.places)
        for index, name in enumerate(("latitude_deg", "longitude_deg")):
            # A degree is 111 km: three decimals would be useless.
            columns[name] = np.array([f"{value:.8f}" for value in recording.degrees[:, index]], dtype=object)
        columns |= {"utm_east_m": utm[:, 0], "utm_north_m": utm[:, 1]}
    write_table(files.output("trajectories.csv"), columns)
    write_table(files.output("vehicles.csv"), recording.vehicles)


def _kept(times_s: Floats, rate_hz: float) -> Floats:
    """Which frames get rows: at most `rate_hz` per second, the same for all vehicles."""
    if rate_hz <= 0:
        return np.arange(len(times_s))
    slots = np.floor(times_s * rate_hz + 1e-6)
    return np.flatnonzero(np.concatenate([[True], np.diff(slots) > 0]))
