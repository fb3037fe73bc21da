"""Finds the scale of the ground from the reference points, and where the camera is on every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tracker.arrays import Floats
from tracker.contract import Report, StageFiles
from tracker.ground import Ground, camera_pose, fit_to_world, ground_scale
from tracker.homographies import read_homographies
from tracker.parameters import parameter
from tracker.reference import Frame, parse_points
from tracker.tables import write_table


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    horizontal_fov_deg: float = parameter(
        73.7, "angle the camera sees from left to right, undistorted (24 mm equivalent: 73.7)", minimum=5, maximum=150
    )
    camera_smoothing_seconds: float = parameter(
        1.0,
        "over how long the camera's place is averaged: tilting and moving look nearly alike; 0: not at all",
        minimum=0,
    )
    max_point_error_m: float = parameter(
        0.5, "how far a world point may be off before it is named in a warning", minimum=0
    )


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `ground.json` (pixels to metres), `camera.csv` (one row a frame) and `point_errors.csv`."""
    given = parse_points(files.upstream("define_reference_points", "reference_points.json"), Frame(0.0, 0, 0))
    points, plane = given.in_metres()
    table, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    frame = points.frame
    to_world, source, errors = fit_to_world(points)
    size = frame.width_px, frame.height_px, parameters.horizontal_fov_deg
    still = camera_pose(to_world, *size)
    residual = float(np.sqrt(np.mean(np.square(list(errors.values()))))) if errors else 0.0
    scale = ground_scale(to_world, frame)
    polygon = np.array(points.road_polygon_px, np.float64).reshape(-1, 2)
    ground = Ground(to_world, source, residual, scale, still.position_m, frame, polygon, plane)
    ground.write(files.output("ground.json"))
    write_table(files.output("point_errors.csv"), {"name": list(errors), "error_m": list(errors.values())})
    for name, error in errors.items():
        if error > parameters.max_point_error_m:
            report.warning(f"reference point {name!r} is {error:.2f} m away from where the others put it")
    poses, scales = [], []
    for index, matrix in enumerate(matrices):
        poses.append(camera_pose(to_world @ matrix, *size))
        scales.append(ground_scale(to_world @ matrix, frame))
        report.progress("frames", index + 1, len(matrices))
    raw = np.array([[*pose.position_m, pose.tilt_deg, np.radians(pose.yaw_deg)] for pose in poses])
    raw[:, 4] = np.degrees(np.unwrap(raw[:, 4]))
    seen = _smoothed(raw, table["time_s"], parameters.camera_smoothing_seconds)
    places = seen[:, :3]
    write_table(
        files.output("camera.csv"),
        {
            "frame": table["frame"],
            "time_s": table["time_s"],
            "x_m": places[:, 0],
            "y_m": places[:, 1],
            "z_m": places[:, 2],
            "yaw_deg": seen[:, 4],
            "tilt_deg": seen[:, 3],
            "metres_per_pixel": scales,
            "pose_residual_px": [pose.residual_px for pose in poses],
        },
        decimals=6,
    )
    report.say(
        f"scale from {source}; the camera's position assumes a view of {parameters.horizontal_fov_deg:g} degrees"
    )
    report.result("metres_per_pixel", scale)
    if plane is not None:
        report.result("utm_epsg", plane.utm_epsg)
    report.result("height_m", float(places[:, 2].mean()))
    report.result("drift_m", float(np.hypot(*(places[:, :2] - places[0, :2]).T).max()))
    report.result("point_error_m", residual)


def _smoothed(values: Floats, times_s: Floats, seconds: float) -> Floats:
    """Each column averaged with a window that is bell-shaped and `seconds` wide (between its inflections)."""
    if seconds <= 0 or len(times_s) < 2:  # noqa: PLR2004  one frame has no neighbours
        return values
    frames = seconds / 2 / max(float(np.median(np.diff(times_s))), 1e-6)
    # At the ends a straight line is kept: the values are mirrored through the end point.
    smoothed: Floats = gaussian_filter1d(
        np.vstack([2 * values[0] - values[:0:-1], values, 2 * values[-1] - values[-2::-1]]), frames, axis=0
    )
    return smoothed[len(values) - 1 : 2 * len(values) - 1]
