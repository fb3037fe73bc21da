"""Writes the footage, what is true about it, and the reference points that a person would click."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.contract import Report
from tracker.reference import Frame, ReferencePoint, ReferencePoints
from tracker.simulation.camera import View, view_at
from tracker.simulation.ground import PIXELS_FROM_WORLD, landmarks, paint
from tracker.simulation.traffic import Traffic, Vehicle
from tracker.simulation.vehicles import draw_vehicles
from tracker.tables import from_rows, write_table
from tracker.video import VideoWriter

NOISE_PICTURES = 6
NOISE_STRENGTH = 2.0
TRUTH_COLUMNS = (
    "frame", "time_s", "vehicle_id", "class", "x_m", "y_m", "heading_deg", "speed_m_s", "length_m", "width_m",
    "visible", "lane_id",
)  # fmt: skip
CAMERA_COLUMNS = ("frame", "time_s", "x_m", "y_m", "z_m", *(f"h{row}{column}" for row in "123" for column in "123"))


def simulate(directory: Path, *, seconds: float, rate_fps: int, width_px: int, height_px: int, seed: int) -> None:
    """Write `video.mp4`, `truth.csv`, `camera_truth.csv` and `reference_points.json` into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    report = Report()
    ground = paint(seed)
    grain = _grain(seed, height_px, width_px)
    truth: list[tuple[float | str, ...]] = []
    camera: list[tuple[float, ...]] = []
    frames = round(seconds * rate_fps)
    with VideoWriter(directory / "video.mp4", width_px, height_px, rate_fps, quality_crf=20) as writer:
        for index, (time_s, vehicles) in enumerate(Traffic(seed, 1 / rate_fps).frames(seconds)):
            view = view_at(time_s, width_px, height_px)
            picture = cv2.warpPerspective(
                ground, view.ground_to_pixels @ np.linalg.inv(PIXELS_FROM_WORLD), (width_px, height_px)
            )
            picture = draw_vehicles(picture, vehicles, view)
            picture = cv2.add(picture, grain[index % NOISE_PICTURES], dtype=cv2.CV_8U)
            writer.write(picture, time_s)
            truth += [_true_row(index, time_s, vehicle, view, width_px, height_px) for vehicle in vehicles]
            camera.append((index, time_s, *view.position_m, *view.ground_to_pixels.ravel()))
            report.progress("frames", index + 1, frames)
    write_table(directory / "truth.csv", from_rows(TRUTH_COLUMNS, truth), decimals=4)
    write_table(directory / "camera_truth.csv", from_rows(CAMERA_COLUMNS, camera), decimals=10)
    points = clicked_points(view_at(0.0, width_px, height_px), width_px, height_px)
    points.write(directory / "reference_points.json")
    report.result("frames", frames)
    report.result("vehicles", len({row[2] for row in truth if row[-1]}))


def clicked_points(view: View, width_px: int, height_px: int) -> ReferencePoints:
    """The landmarks that are well inside the first frame, to the half pixel."""
    marks = landmarks()
    pixels = view.pixels(np.array([[mark.x_m, mark.y_m, 0.0] for mark in marks]))
    points = tuple(
        ReferencePoint(mark.name, round(2 * float(x)) / 2, round(2 * float(y)) / 2, mark.x_m, mark.y_m)
        for mark, (x, y) in zip(marks, pixels, strict=True)
        if 0.03 * width_px < x < 0.97 * width_px and 0.05 * height_px < y < 0.95 * height_px
    )
    return ReferencePoints(Frame(0.0, width_px, height_px), points)


def _true_row(
    frame: int, time_s: float, vehicle: Vehicle, view: View, width_px: int, height_px: int
) -> tuple[float | str, ...]:
    x, y, heading = vehicle.pose
    corners = _corners(x, y, heading, vehicle.length_m, vehicle.width_m)
    pixels = view.pixels(np.column_stack([corners, np.zeros(4)]))
    inside = (pixels > 0).all() and (pixels[:, 0] < width_px).all() and (pixels[:, 1] < height_px).all()
    return (
        frame, time_s, vehicle.number, vehicle.kind, x, y, math.degrees(heading), vehicle.speed_m_s,
        vehicle.length_m, vehicle.width_m, int(inside), vehicle.path.lane_at(vehicle.distance_m),
    )  # fmt: skip


def _corners(x: float, y: float, heading: float, length: float, width: float) -> Floats:
    along, across = np.array([math.cos(heading), math.sin(heading)]), np.array([-math.sin(heading), math.cos(heading)])
    return np.array(
        [[x, y] + a * length / 2 * along + b * width / 2 * across for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    )


def _grain(seed: int, height_px: int, width_px: int) -> list[Picture]:
    """A few pictures of sensor noise; fresh noise for each frame would take longer than everything else."""
    random = np.random.default_rng(seed)
    size = (height_px, width_px, 3)
    return [np.round(random.normal(0, NOISE_STRENGTH, size)).astype(np.int16) for _ in range(NOISE_PICTURES)]
