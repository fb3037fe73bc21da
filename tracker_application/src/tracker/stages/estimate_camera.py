"""Determines the scale of the ground from the reference points, and the camera pose of every frame."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.camera import FILM_WIDTH_MM, Intrinsics, calibrate, pose_of_homography
from tracker.contract import Report, StageFiles
from tracker.errors import ParameterInvalid
from tracker.geometry import metres_per_pixel
from tracker.ground import Ground, ground_scale
from tracker.ground_fit import GroundFit, fit_to_world
from tracker.homographies import read_homographies
from tracker.parameters import parameter
from tracker.reference import FEWEST_WORLD_POINTS, Frame, ReferencePoints, parse_points
from tracker.tables import write_table
from tracker.telemetry import Telemetry, doubt_about_height, read_telemetry

DEFAULT_FOV_DEG = 73.7
# A focal length that is less certain than this is no better than the default.
WORST_CALIBRATION = 0.05
# The height above the take-off tells nothing of a drone that has hardly taken off.
LOWEST_M = 10.0
# If the frames fit worse than this (at 4K), the ground is not flat, or the lens is not as given.
WORST_POSE_PX_AT_4K, WIDTH_4K_PX = 3.0, 3840
# Where the bell-shaped window ends, in standard deviations.
BELL_REACH = 4


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    horizontal_fov_deg: float = parameter(
        0.0,
        "horizontal field of view after undistortion (24 mm equivalent: 73.7); 0: estimated from the reference points "
        "and the camera's motion, if possible",
        minimum=0,
        maximum=150,
    )
    focal_length_px: float = parameter(
        0.0, "focal length in pixels of the footage, instead of the field of view", minimum=0
    )
    focal_length_35mm: float = parameter(
        0.0, "35 mm equivalent focal length in mm, instead of the field of view", minimum=0
    )
    camera_smoothing_seconds: float = parameter(
        0.2, "averaging time of the camera position; 0: no averaging", minimum=0
    )
    max_point_error_m: float = parameter(0.5, "error of a world point above which a warning names it", minimum=0)


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `ground.json`, `camera.csv` (one row per frame), `point_errors.csv` and `camera_quality.json`."""
    marked = parse_points(files.upstream("define_reference_points", "reference_points.json"), Frame(0.0, 0, 0))
    points, plane = marked.in_metres()
    table, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    telemetry = read_telemetry(files.telemetry())
    frame = points.frame
    intrinsics, lens = _intrinsics(parameters, points, matrices, telemetry, report)
    fit = fit_to_world(points, intrinsics)
    scale = ground_scale(fit.to_world, frame)
    polygon = np.array(points.road_polygon_px, np.float64).reshape(-1, 2)
    Ground(
        fit.to_world, fit.source, fit.residual_m, scale, fit.pose.position_m, frame, polygon, plane,
        intrinsics.focal_px, marked.origin_m,
    ).write(files.output("ground.json"))  # fmt: skip
    errors: dict[str, Any] = {
        "name": list(fit.errors_m), "error_m": list(fit.errors_m.values()), "error_px": list(fit.errors_px.values()),
        "used": [int(name not in fit.left_out) for name in fit.errors_m],
    }  # fmt: skip
    write_table(files.output("point_errors.csv"), errors)
    _warn(fit, parameters, report)
    poses, scales, start = [], [], fit.pose
    for index, matrix in enumerate(matrices):
        pose, residual_px = pose_of_homography(fit.to_world @ matrix, intrinsics, start)
        poses.append([*pose.position_m, pose.tilt_deg, pose.yaw_deg, residual_px])
        scales.append(ground_scale(fit.to_world @ matrix, frame))
        # A wrong pose is not a good initial guess.
        start = pose if pose.position_m[2] > 0 else fit.pose
        report.progress("frames", index + 1, len(matrices))
    raw = np.array(poses)
    raw[:, 4] = np.degrees(np.unwrap(np.radians(raw[:, 4])))
    registered = table["registered"] == 1 if "registered" in table else np.ones(len(raw), bool)
    seen = _smoothed(raw[:, :5], registered, table["time_s"], parameters.camera_smoothing_seconds)
    columns: dict[str, Any] = {
        "frame": table["frame"], "time_s": table["time_s"], "x_m": seen[:, 0], "y_m": seen[:, 1], "z_m": seen[:, 2],
        "yaw_deg": seen[:, 4], "tilt_deg": seen[:, 3], "metres_per_pixel": scales, "pose_residual_px": raw[:, 5],
    }  # fmt: skip
    write_table(files.output("camera.csv"), columns, decimals=6)
    quality = _quality(fit, intrinsics, lens, frame, seen, raw[registered, 5], _heights(telemetry, seen, report))
    files.output("camera_quality.json").write_text(json.dumps(quality, indent=2) + "\n", encoding="utf-8")
    report.say(quality["verdict"])
    report.result("metres_per_pixel", scale)
    if plane is not None:
        report.result("utm_epsg", plane.utm_epsg)
    report.result("height_m", float(seen[:, 2].mean()))
    report.result("drift_m", float(np.hypot(*(seen[:, :2] - seen[0, :2]).T).max()))
    report.result("point_error_m", fit.residual_m)
    report.result("horizontal_fov_deg", float(intrinsics.horizontal_fov_deg))
    report.result("field_of_view_from", lens["source"])


def _heights(telemetry: Telemetry | None, seen: Floats, report: Report) -> tuple[float | None, str]:
    """The height that the drone wrote down, and what it says about the one that was found."""
    if telemetry is None:
        return None, ""
    doubt = doubt_about_height(float(np.median(seen[:, 2])), telemetry.height_m)
    if doubt:
        report.warning(doubt)
    return telemetry.height_m, doubt


def _intrinsics(
    parameters: Parameters, points: ReferencePoints, matrices: Floats, telemetry: Telemetry | None, report: Report
) -> tuple[Intrinsics, dict[str, Any]]:
    """The lens, and the source of its focal length."""
    width, height = points.frame.width_px, points.frame.height_px
    settings = {
        "HORIZONTAL_FOV_DEG": parameters.horizontal_fov_deg,
        "FOCAL_LENGTH_PX": parameters.focal_length_px,
        "FOCAL_LENGTH_35MM": parameters.focal_length_35mm,
    }
    named = [name for name, value in settings.items() if value > 0]
    if len(named) > 1:
        raise ParameterInvalid(f"{' and '.join(named)} are both set", remedy="Set only one; the others follow from it")
    if parameters.focal_length_px > 0:
        return Intrinsics(width, height, parameters.focal_length_px), {"source": "given"}
    if parameters.focal_length_35mm > 0:
        focal_px = parameters.focal_length_35mm * width / FILM_WIDTH_MM
        return Intrinsics(width, height, focal_px), {"source": "given"}
    if parameters.horizontal_fov_deg > 0:
        return Intrinsics.from_field_of_view(width, height, parameters.horizontal_fov_deg), {"source": "given"}
    usual = Intrinsics.from_field_of_view(width, height, DEFAULT_FOV_DEG)
    found, why = None, "a known length alone does not determine it"
    world = points.world_points
    if len(world) >= FEWEST_WORLD_POINTS:
        pixels = np.array([[point.x_px, point.y_px] for point in world], np.float64)
        metres = np.array([[point.x_m, point.y_m] for point in world], np.float64)
        found = calibrate(metres, pixels, matrices, usual)
        why = "the points match no camera" if found is None else f"the estimate is uncertain by {100 * found[1]:.0f} %"
    if found is not None and found[1] <= WORST_CALIBRATION:
        return found[0], {"source": "estimated", "focal_length_std_percent": round(100 * found[1], 2)}
    by_drone = _from_the_drone(telemetry, points, usual, report)
    if by_drone is not None:
        return by_drone
    report.warning(
        f"the field of view is not set and cannot be estimated from this footage ({why}): {DEFAULT_FOV_DEG} degrees "
        "are assumed. The camera height has the same relative error; set HORIZONTAL_FOV_DEG"
    )
    return usual, {"source": "assumed"}


def _from_the_drone(
    telemetry: Telemetry | None, points: ReferencePoints, usual: Intrinsics, report: Report
) -> tuple[Intrinsics, dict[str, Any]] | None:
    """The lens that the drone wrote down, or the one that fits its height; None without either."""
    if telemetry is None:
        return None
    if telemetry.focal_length_35mm:
        report.say(f"the focal length is that of the drone's .SRT: {telemetry.focal_length_35mm:g} mm on 35 mm film")
        focal_px = telemetry.focal_length_35mm * usual.width_px / FILM_WIDTH_MM
        return Intrinsics(usual.width_px, usual.height_px, focal_px), {"source": "telemetry"}
    if telemetry.height_m < LOWEST_M:
        return None
    report.warning(
        "the field of view is not set and cannot be estimated from this footage: it follows from the drone's height "
        "above its take-off, as if the ground were at that level; set HORIZONTAL_FOV_DEG"
    )
    scale_m = ground_scale(fit_to_world(points, usual).to_world, points.frame)
    return Intrinsics(usual.width_px, usual.height_px, telemetry.height_m / scale_m), {"source": "height of the drone"}


def _warn(fit: GroundFit, parameters: Parameters, report: Report) -> None:
    for name, error in fit.errors_m.items():
        if name in fit.left_out:
            report.warning(
                f"reference point {name!r} is {error:.2f} m away from where the others put it, and is not used"
            )
        elif error > parameters.max_point_error_m:
            report.warning(f"reference point {name!r} is {error:.2f} m away from where the others put it")
    if fit.model == "homography":
        report.warning(
            "no camera with this field of view sees the points as given: a homography is used for metres, which is "
            "less accurate; check HORIZONTAL_FOV_DEG, the points, and lens distortion"
        )
    if fit.source == "known length":
        report.warning(
            "the scale comes from one known length, assuming that the camera looks straight down: positions, speeds "
            "and the camera position are approximate"
        )


def _quality(  # noqa: PLR0913, PLR0917  what a judgement rests on
    fit: GroundFit, intrinsics: Intrinsics, lens: dict[str, Any], frame: Frame, seen: Floats, residuals_px: Floats,
    from_drone: tuple[float | None, str],
) -> dict[str, Any]:  # fmt: skip
    """The quality figures, and a verdict in words."""
    right, bottom = frame.width_px - 1, frame.height_px - 1
    places = {
        "centre": (right / 2, bottom / 2), "upper_left": (0, 0), "upper_right": (right, 0), "lower_left": (0, bottom),
        "lower_right": (right, bottom),
    }  # fmt: skip
    scales = {name: round(metres_per_pixel(fit.to_world, np.array(place)), 6) for name, place in places.items()}
    pose_px = float(np.sqrt(np.mean(residuals_px**2))) if len(residuals_px) else 0.0
    height = float(seen[:, 2].mean())
    known = bool(np.isfinite(fit.position_std_m).all())
    std_m = [round(float(value), 4) for value in fit.position_std_m] if known else None
    sideways = float(np.hypot(*fit.position_std_m[:2])) if known else float("nan")
    doubts = []
    if fit.source == "known length":
        doubts.append("the scale comes from only one known length")
    if fit.model == "homography":
        doubts.append("the points match no camera with this field of view")
    if lens["source"] == "assumed":
        doubts.append("the field of view is assumed")
    if lens["source"] == "height of the drone":
        doubts.append("the field of view follows from the drone's height above its take-off")
    if fit.left_out:
        doubts.append(f"{len(fit.left_out)} of {len(fit.errors_m)} points were not used")
    if pose_px > WORST_POSE_PX_AT_4K * frame.width_px / WIDTH_4K_PX:
        doubts.append(f"the camera fits the frames only to {pose_px:.1f} px")
    doubts += [from_drone[1]] if from_drone[1] else []
    verdict = f"Camera {height:.1f} m high, {scales['centre'] * 100:.2f} cm per pixel at the centre"
    if known:
        verdict += (
            f"; its position is known to about {sideways:.2f} m horizontally and {fit.position_std_m[2]:.2f} m in "
            "height"
        )
        verdict += f"; {len(fit.errors_m) - len(fit.left_out)} points fit to {fit.residual_m * 100:.1f} cm"
    verdict += f". Doubts: {'; '.join(doubts)}." if doubts else ". No doubts."
    return {
        "verdict": verdict,
        "approximate": fit.source == "known length",
        "doubts": doubts,
        "scale_from": fit.source,
        "model": fit.model,
        "field_of_view": lens
        | {
            "horizontal_fov_deg": round(intrinsics.horizontal_fov_deg, 3),
            "focal_length_px": round(intrinsics.focal_px, 2),
        },
        "points_rms_m": round(fit.residual_m, 4),
        "points_rms_px": round(fit.residual_px, 3),
        "points_left_out": list(fit.left_out),
        "camera_std_m": std_m,
        "frames_rms_px": round(pose_px, 4),
        "metres_per_pixel": scales,
        "height_of_the_drone_m": from_drone[0],
    }


def _smoothed(values: Floats, known: Flags, times_s: Floats, seconds: float) -> Floats:
    """Each column averaged with a bell-shaped window, `seconds` wide between its inflections.

    Values that are not `known` are first interpolated linearly.
    """
    if known.any() and not known.all():
        columns = [np.interp(times_s, times_s[known], column[known]) for column in values.T]
        values = np.column_stack(columns)
    if seconds <= 0 or len(times_s) < 2:  # noqa: PLR2004  one frame has no neighbours
        return values
    frames = seconds / 2 / max(float(np.median(np.diff(times_s))), 1e-6)
    reach = math.floor(BELL_REACH * frames + 0.5)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    # At the ends, values are mirrored through the end point, which preserves straight lines.
    longer = np.pad(values, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.column_stack([np.convolve(column, bell / bell.sum(), mode="valid") for column in longer.T])
