"""Finds lanes and their directions from the trajectories, and says which vehicle was on which lane when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracker.contract import Report, StageFiles
from tracker.lanes import Lane, assign, course, find_lanes
from tracker.parameters import parameter
from tracker.tables import groups, read_table, write_table


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    lane_width_m: float = parameter(3.2, "how wide a lane is; who drives further apart is on another lane", minimum=1)
    min_lane_vehicles: int = parameter(2, "how many vehicles make a lane", minimum=1)
    min_lane_length_m: float = parameter(15.0, "shortest lane", minimum=1)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `lanes.geojson`, and `tracks.parquet` with the lane of each row (empty where there is none)."""
    table = read_table(files.upstream("track_vehicles", "tracks.parquet"), ("track_id", "x_m", "y_m", "heading_deg"))
    by_track = groups(table, "track_id")
    courses = [course(number, np.column_stack([track["x_m"], track["y_m"]])) for number, track in by_track.items()]
    half_width = parameters.lane_width_m / 2
    lanes = find_lanes(
        courses,
        half_width_m=half_width,
        min_vehicles=parameters.min_lane_vehicles,
        min_length_m=parameters.min_lane_length_m,
    )
    places, ways = np.column_stack([table["x_m"], table["y_m"]]), np.radians(table["heading_deg"])
    names: list[str] = []
    for start in range(0, len(places), 20_000):
        part = slice(start, start + 20_000)
        names += assign(lanes, places[part], ways[part], half_width)
        report.progress("positions", len(names), len(places))
    lane_ids = np.array(names, dtype=object)
    features = [_feature(lane, parameters.lane_width_m, table["speed_m_s"][lane_ids == lane.lane_id]) for lane in lanes]
    whole = {"type": "FeatureCollection", "coordinate_system": "local metres, see ground.json", "features": features}
    files.output("lanes.geojson").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    write_table(files.output("tracks.parquet"), table | {"lane_id": lane_ids}, decimals=4)
    if not lanes:
        report.warning(f"no course was driven by {parameters.min_lane_vehicles} vehicles: there are no lanes")
    report.result("lanes", len(lanes))
    report.result("positions_on_lanes", f"{100 * np.mean(lane_ids != ''):.0f} %")


def _feature(lane: Lane, width_m: float, speeds: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": lane.lane_id,
        "geometry": {"type": "LineString", "coordinates": np.round(lane.middle_m, 3).tolist()},
        "properties": {
            "lane_id": lane.lane_id,
            "width_m": width_m,
            "length_m": round(lane.length_m, 2),
            "first_heading_deg": round(float(np.degrees(lane.headings_rad[0])), 1),
            "last_heading_deg": round(float(np.degrees(lane.headings_rad[-1])), 1),
            "vehicles": len(lane.track_ids),
            "mean_speed_km_h": round(float(np.mean(speeds)) * 3.6, 1) if len(speeds) else None,
        },
    }
