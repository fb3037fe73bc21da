"""Draws charts as PNG, writes the table behind each, and a report that is one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tracker import charts
from tracker.contract import Report, StageFiles
from tracker.geometry import scaling, transform
from tracker.ground import Ground
from tracker.parameters import parameter
from tracker.report import write_report
from tracker.summary import vehicles
from tracker.tables import Table, read_table, write_table


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    report_title: str = parameter("Traffic report", "stands on top of the report")


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write a PNG and a CSV for each chart, and `report.html`."""
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("time_s", "x_m", "y_m", "z_m"))
    tracks = read_table(files.upstream("detect_lanes", "tracks.csv"), ("track_id", "time_s", "speed_m_s", "lane_id"))
    drawn = []
    for chart in _charts(files, ground, camera, tracks):
        chart.figure.savefig(files.output(f"{chart.name}.png"))
        write_table(files.output(f"{chart.name}.csv"), chart.table)
        drawn.append(chart)
        report.progress("charts", len(drawn), max(len(drawn), 5))
    table = vehicles(tracks)
    facts = {
        "vehicles": str(len(table["track_id"])),
        "time covered": f"{np.ptp(tracks['time_s']):.1f} s",
        "median speed while driving": _median_speed(tracks),
        "turning left / right": " / ".join(str(int((table["movement"] == way).sum())) for way in ("left", "right")),
        "scale": f"{ground.metres_per_pixel * 100:.2f} cm a pixel, from {ground.source}",
        "reference points fit to": f"{ground.residual_m * 100:.1f} cm"
        if ground.source == "world points"
        else "not known",
    }
    write_report(files.output("report.html"), parameters.report_title, facts, drawn, table)
    report.result("charts", len(drawn))


def _charts(files: StageFiles, ground: Ground, camera: Table, tracks: Table) -> Iterator[charts.Chart]:
    frame = ground.frame
    outline = transform(
        ground.to_world,
        np.array([[0, 0], [frame.width_px, 0], [frame.width_px, frame.height_px], [0, frame.height_px]], np.float64),
    )
    background = np.asarray(cv2.imread(str(files.upstream("detect_vehicles", "background.jpg"))), np.uint8)
    to_pixels = scaling(background.shape[1] / frame.width_px) @ np.linalg.inv(ground.to_world)
    yield charts.speed_map(tracks, background, to_pixels)
    yield charts.speed_distribution(tracks)
    yield charts.traffic_over_time(tracks, float(cv2.contourArea(outline.astype(np.float32))))
    lanes = json.loads(files.upstream("detect_lanes", "lanes.geojson").read_text(encoding="utf-8"))["features"]
    if lanes:
        busiest = max(lanes, key=lambda lane: lane["properties"]["vehicles"])
        yield charts.space_time(tracks, busiest["id"], np.array(busiest["geometry"]["coordinates"]))
    yield charts.camera_drift(camera)


def _median_speed(tracks: Table) -> str:
    speeds = tracks["speed_m_s"][tracks["speed_m_s"] * 3.6 > 5] * 3.6  # noqa: PLR2004  slower is standing
    return f"{np.median(speeds):.0f} km/h" if len(speeds) else "none drove"
