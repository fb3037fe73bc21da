"""Draws charts as PNG and SVG, writes their data tables, and a report in one file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from tracker.arrays import Floats
from tracker.charts.flow import flow_and_density, traffic_over_time
from tracker.charts.lanes import no_lanes, space_time
from tracker.charts.maps import slow_and_fast_places, speed_map
from tracker.charts.movements import lane_counts, turning_counts
from tracker.charts.quality import camera_drift, quality
from tracker.charts.safety import headways, times_to_collision
from tracker.charts.speeds import acceleration_distribution, speed_distribution
from tracker.charts.style import STANDING_KM_H, Chart
from tracker.contract import Report, StageFiles
from tracker.following import lane_middles
from tracker.geometry import scaling, transform
from tracker.ground import Ground
from tracker.homographies import read_homographies
from tracker.parameters import parameter
from tracker.report import write_report
from tracker.self_check import Film, SelfCheck, check_self
from tracker.summary import vehicles
from tracker.tables import Table, read_table


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    report_title: str = parameter("Traffic report", "title of the report")


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write a PNG, an SVG and a CSV for each chart, `quality.json` and `report.html`."""
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    tracks = read_table(
        files.upstream("detect_lanes", "tracks.parquet"), ("track_id", "time_s", "speed_m_s", "lane_id")
    )
    homographies, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    drawings = _drawings(files, ground, tracks, homographies)
    drawn = []
    for draw in drawings:
        chart = draw()
        chart.write(files.output("report.html").parent)
        drawn.append(chart)
        report.progress("charts", len(drawn), len(drawings))
    check = _check(files, ground, tracks, homographies["time_s"], matrices)
    for doubt in (*check.outside_of_what_was_tried, *check.doubts):
        report.warning(doubt)
    table = vehicles(tracks)
    moments = homographies["time_s"]
    facts = {
        "vehicles": str(len(table["track_id"])),
        "duration of the footage": f"{np.ptp(moments):.1f} s, {len(moments)} frames",
        "median speed while driving": _median_speed(tracks),
        "left turns / right turns": " / ".join(str(int((table["movement"] == way).sum())) for way in ("left", "right")),
        "scale": f"{ground.metres_per_pixel * 100:.2f} cm per pixel, from {ground.source}",
        "RMS error of the reference points": f"{ground.residual_m * 100:.1f} cm"
        if ground.source == "world points"
        else "unknown",
    }
    write_report(files.output("report.html"), parameters.report_title, facts, drawn, table, check)
    report.result("charts", len(drawn))


def _check(files: StageFiles, ground: Ground, tracks: Table, times_s: Floats, matrices: Floats) -> SelfCheck:
    """Judge the trajectories, and write that to `quality.json`."""
    detections = read_table(files.upstream("detect_vehicles", "detections.parquet"), ("frame", "whole", "length_m"))
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("tilt_deg",))
    film = Film(ground, times_s, matrices, float(np.median(camera["tilt_deg"])))
    check = check_self(tracks, detections, film)
    files.output("quality.json").write_text(json.dumps(check.as_json(), indent=2) + "\n", encoding="utf-8")
    return check


def _drawings(files: StageFiles, ground: Ground, tracks: Table, homographies: Table) -> list[Callable[[], Chart]]:
    """The charts as functions, so that only one figure at a time is in memory."""
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("time_s", "x_m", "y_m", "z_m"))
    detections = read_table(files.upstream("detect_vehicles", "detections.parquet"), ("frame", "whole"))
    lanes = lane_middles(json.loads(files.upstream("detect_lanes", "lanes.geojson").read_text(encoding="utf-8")))
    frame = ground.frame
    outline = transform(
        ground.to_world,
        np.array([[0, 0], [frame.width_px, 0], [frame.width_px, frame.height_px], [0, frame.height_px]], np.float64),
    )
    area_m2 = float(cv2.contourArea(outline.astype(np.float32)))
    background = np.asarray(cv2.imread(str(files.upstream("detect_vehicles", "background.jpg"))), np.uint8)
    to_pixels = scaling(background.shape[1] / frame.width_px) @ np.linalg.inv(ground.to_world)
    return [
        partial(speed_map, tracks, background, to_pixels),
        partial(slow_and_fast_places, tracks, background, to_pixels),
        partial(speed_distribution, tracks),
        partial(acceleration_distribution, tracks),
        partial(traffic_over_time, tracks, area_m2),
        partial(flow_and_density, tracks, lanes),
        partial(turning_counts, tracks),
        partial(lane_counts, tracks),
        *[partial(space_time, tracks, lane_id, middle) for lane_id, middle in lanes.items()],
        *([] if lanes else [no_lanes]),
        partial(headways, tracks, lanes),
        partial(times_to_collision, tracks, lanes),
        partial(camera_drift, camera),
        partial(quality, homographies, detections),
    ]


def _median_speed(tracks: Table) -> str:
    speeds = tracks["speed_m_s"] * 3.6
    moving = speeds[speeds > STANDING_KM_H]
    return f"{np.median(moving):.0f} km/h" if len(moving) else "no vehicle moved"
