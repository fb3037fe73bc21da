"""Finds lanes and their directions from the trajectories, and assigns vehicles to lanes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.contract import Report, StageFiles
from tracker.ground import Ground
from tracker.lane_corrections import Correction, read_correction
from tracker.lanes import Lane, assign, certainty, course, find_lanes
from tracker.parameters import parameter
from tracker.tables import Table, groups, read_table, write_table


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    lane_width_m: float = parameter(3.2, "usual width of a lane", minimum=1)
    min_lane_vehicles: int = parameter(1, "least number of vehicles that form a lane", minimum=1)
    min_lane_length_m: float = parameter(15.0, "least length of a lane", minimum=1)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `lanes.geojson`, and `tracks.parquet` with the lane of each row (empty if none)."""
    table = read_table(
        files.upstream("track_vehicles", "tracks.parquet"), ("track_id", "x_m", "y_m", "heading_deg", "speed_m_s")
    )
    lanes_file = files.resource("lanes")
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    correction = Correction() if lanes_file is None else read_correction(lanes_file, ground.to_world)
    places, ways = np.column_stack([table["x_m"], table["y_m"]]), np.radians(table["heading_deg"])
    rows_of = {
        number: track["row"]
        for number, track in groups({"track_id": table["track_id"], "row": np.arange(len(places))}, "track_id").items()
    }
    courses = [course(number, places[rows]) for number, rows in rows_of.items()]
    still = {one.track_id for one in courses if not len(one.points_m)}
    first_rows = [rows_of[number][0] for number in still]
    found = (
        []
        if correction.lines
        else find_lanes(
            courses,
            width_m=parameters.lane_width_m,
            min_vehicles=parameters.min_lane_vehicles,
            min_length_m=parameters.min_lane_length_m,
            standing=np.column_stack([places[first_rows], ways[first_rows]]).reshape(-1, 3),
        )
    )
    lanes = correction.lanes(found, parameters.lane_width_m)
    lane_ids = np.full(len(places), "", dtype=object)
    done = 0
    for number, rows in rows_of.items():
        lane_ids[rows] = assign(lanes, places[rows], ways[rows])
        if number in still and not lane_ids[rows[0]]:
            lane_ids[rows] = assign(lanes, places[rows], ways[rows] + np.pi)
        done += len(rows)
        report.progress("positions", done, len(places))
    renamed = {lane.lane_id: correction.names.get(lane.lane_id, lane.lane_id) for lane in lanes}
    features = [_feature(lane, renamed[lane.lane_id], _on(table, lane_ids == lane.lane_id)) for lane in lanes]
    if correction.lines:
        for feature in features:
            feature["properties"]["certainty"] = "given"
    lane_ids = np.array([renamed.get(name, "") for name in lane_ids], dtype=object)
    final = _joined(features)
    whole = {
        "type": "FeatureCollection",
        "units": "metres",
        "coordinate_system": "local metres, see ground.json",
        "features": final,
    }
    files.output("lanes.geojson").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    write_table(files.output("tracks.parquet"), table | {"lane_id": lane_ids}, decimals=4)
    if not lanes:
        report.warning(
            f"no lanes: fewer than {parameters.min_lane_vehicles} vehicles (MIN_LANE_VEHICLES) drove along the same "
            f"{parameters.min_lane_length_m:g} m (MIN_LANE_LENGTH_M)"
        )
    for lane, feature in zip(lanes, features, strict=True):
        if correction.lines and not feature["properties"]["vehicles"]:
            report.warning(
                f"no vehicle drove on the given lane {lane.lane_id!r}: does its line run in the driving direction?"
            )
    unsure = [feature["id"] for feature in final if feature["properties"]["certainty"] == "low"]
    if unsure:
        report.warning(
            f"{len(unsure)} of {len(final)} lanes were found from one or two vehicles, and may be none: "
            f"{', '.join(unsure)}. A longer film shows more; a lanes file corrects them"
        )
    report.result("lanes", len(final))
    report.result("lanes_from", "the lanes file" if lanes_file is not None else "trajectories")
    report.result("positions_on_lanes", f"{100 * np.mean(lane_ids != ''):.0f} %")


def _on(table: Table, rows: Flags) -> tuple[int, Floats]:
    """The number of vehicles, and their speeds."""
    return len(np.unique(table["track_id"][rows])), table["speed_m_s"][rows]


def _joined(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One feature per name: of lanes that a user joined, the longest is drawn."""
    longest: dict[str, dict[str, Any]] = {}
    for feature in features:
        before = longest.setdefault(feature["id"], feature)
        if feature["properties"]["length_m"] > before["properties"]["length_m"]:
            longest[feature["id"]] = feature
    return list(longest.values())


def _feature(lane: Lane, name: str, driven: tuple[int, Floats]) -> dict[str, Any]:
    vehicles, speeds = driven
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "LineString", "coordinates": np.round(lane.middle_m, 3).tolist()},
        "properties": {
            "lane_id": name,
            "width_m": round(lane.width_m, 2),
            "length_m": round(lane.length_m, 2),
            "first_heading_deg": round(float(np.degrees(lane.headings_rad[0])), 1),
            "last_heading_deg": round(float(np.degrees(lane.headings_rad[-1])), 1),
            "vehicles": vehicles,
            "certainty": certainty(vehicles),
            "mean_speed_km_h": round(float(np.mean(speeds)) * 3.6, 1) if len(speeds) else None,
        },
    }
