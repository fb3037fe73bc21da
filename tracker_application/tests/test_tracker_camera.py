"""The camera pose from points on the ground, compared with known cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rendered_film import Film

from tracker.arrays import Floats
from tracker.camera import Intrinsics, Pose, calibrate, fit_pose, pose_of_homography
from tracker.cli import main
from tracker.geometry import transform
from tracker.ground_fit import fit_to_world
from tracker.reference import Frame, KnownLength, ReferencePoint, ReferencePoints
from tracker.simulation.camera import FIELD_OF_VIEW_DEG, view_at

LENS = Intrinsics.from_field_of_view(3840, 2160, FIELD_OF_VIEW_DEG)
CORNERS_M = np.stack(np.meshgrid(np.linspace(-30, 30, 4), np.linspace(-15, 15, 3)), axis=-1).reshape(-1, 2)


def _pose(tilt_deg: float, height_m: float, x_m: float = 0.0) -> Pose:
    """A camera looking northwards past its foot, at the centre of the corners."""
    tilt = np.radians(tilt_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    rotation = turn.T @ np.diag([1.0, -1.0, -1.0])
    place = np.array([x_m, -height_m * np.tan(tilt), height_m])
    return Pose(np.concatenate([_vector(rotation), -rotation @ place]))


def _vector(rotation: Floats) -> Floats:
    angle = np.arccos((np.trace(rotation) - 1) / 2)
    values, vectors = np.linalg.eigh((rotation + rotation.T) / 2)
    axis = vectors[:, np.argmax(values)]
    odd = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    return axis * angle * (1 if odd @ axis >= 0 else -1)


def _clicked(pose: Pose, metres: Floats = CORNERS_M) -> ReferencePoints:
    """Points rounded to half pixels."""
    pixels = np.round(2 * transform(np.linalg.inv(pose.to_world(LENS)), metres)) / 2
    points = [
        ReferencePoint(f"P{index}", *pixel.tolist(), *place.tolist())
        for index, (pixel, place) in enumerate(zip(pixels, metres, strict=True))
    ]
    return ReferencePoints(Frame(0.0, LENS.width_px, LENS.height_px), tuple(points))


@pytest.mark.parametrize("time_s", [0.0, 3.0, 11.0, 40.0])
def test_half_pixel_points_give_the_camera_position_to_a_tenth_of_a_per_cent_of_its_height(time_s: float) -> None:
    view = view_at(time_s, 3840, 2160)
    pixels = np.round(2 * transform(view.ground_to_pixels, CORNERS_M)) / 2
    points = tuple(
        ReferencePoint(f"P{index}", *pixel.tolist(), *place.tolist())
        for index, (pixel, place) in enumerate(zip(pixels, CORNERS_M, strict=True))
    )
    fit = fit_to_world(ReferencePoints(Frame(0.0, 3840, 2160), points), LENS)
    assert fit.model == "camera"
    assert np.linalg.norm(fit.pose.position_m - view.position_m) < 0.001 * view.position_m[2]
    assert np.linalg.norm(fit.position_std_m) < 0.005 * view.position_m[2]


def test_a_camera_is_recovered_from_its_homography() -> None:
    pose = _pose(12, 80, 5)
    found, residual_px = pose_of_homography(pose.to_world(LENS), LENS)
    assert np.allclose(found.position_m, pose.position_m, atol=1e-4)
    assert found.tilt_deg == pytest.approx(12, abs=1e-4)
    assert residual_px < 1e-4


def test_a_misplaced_point_is_rejected_and_named() -> None:
    pose = _pose(5, 80)
    points = list(_clicked(pose).points)
    wrong = points[4]
    points[4] = ReferencePoint(wrong.name, wrong.x_px + 60, wrong.y_px - 35, wrong.x_m, wrong.y_m)
    fit = fit_to_world(ReferencePoints(Frame(0.0, 3840, 2160), tuple(points)), LENS)
    assert fit.left_out == ("P4",)
    assert fit.errors_m["P4"] > 1
    assert np.linalg.norm(fit.pose.position_m - pose.position_m) < 0.004 * 80


def test_metres_are_right_even_if_no_camera_with_the_given_lens_fits() -> None:
    pose = _pose(35, 60)
    fit = fit_to_world(_clicked(pose), Intrinsics.from_field_of_view(3840, 2160, 45))
    assert fit.model == "homography"
    assert fit.residual_m < 0.05


def test_an_oblique_view_determines_the_focal_length() -> None:
    poses = [_pose(30 + 0.2 * index, 70, 0.3 * index) for index in range(8)]
    clicked = _clicked(poses[0])
    metres = np.array([[point.x_m, point.y_m] for point in clicked.points], np.float64)
    to_reference = np.array([np.linalg.inv(poses[0].to_world(LENS)) @ pose.to_world(LENS) for pose in poses])
    found = calibrate(metres, clicked.pixels(), to_reference, Intrinsics.from_field_of_view(3840, 2160, 60))
    assert found is not None
    lens, uncertain = found
    assert uncertain < 0.02
    assert lens.focal_px == pytest.approx(LENS.focal_px, rel=3 * uncertain)


def test_a_vertical_view_gives_an_uncertain_focal_length() -> None:
    pose = _pose(0.5, 80)
    clicked = _clicked(pose)
    metres = np.array([[point.x_m, point.y_m] for point in clicked.points], np.float64)
    found = calibrate(metres, clicked.pixels(), np.array([np.eye(3)] * 3), LENS)
    assert found is None or found[1] > 0.05


def test_collinear_points_give_no_camera() -> None:
    line = np.column_stack([np.arange(6.0), np.zeros(6)])
    assert fit_pose(line, np.zeros((6, 2)), LENS) is None


def test_a_known_length_alone_gives_a_vertical_camera() -> None:
    points = ReferencePoints(Frame(0.0, 3840, 2160), (), KnownLength((0, 0), (1000, 0), 30.0))
    fit = fit_to_world(points, LENS)
    assert fit.model == "straight down"
    assert fit.pose.tilt_deg < 0.01
    assert fit.pose.position_m[2] == pytest.approx(0.03 * LENS.focal_px, rel=1e-3)


def test_the_lens_can_be_specified_in_three_ways(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    width = film.size[0]
    heights = []
    focal_px = width / 2 / np.tan(np.radians(FIELD_OF_VIEW_DEG) / 2)
    ways = {
        "horizontal-fov-deg": FIELD_OF_VIEW_DEG,
        "focal-length-px": focal_px,
        "focal-length-35mm": focal_px / width * 36,
    }
    for name, value in ways.items():
        words = ["estimate-camera", "--input", str(film.outputs), "--output", str(tmp_path), f"--{name}", str(value)]
        assert main(words) == 0
        quality = json.loads((tmp_path / "camera_quality.json").read_text())
        assert quality["field_of_view"]["source"] == "given"
        assert quality["doubts"] == []
        heights.append(quality["field_of_view"]["focal_length_px"])
    assert np.ptp(heights) < 0.02
    capsys.readouterr()
    assert main([*words, "--horizontal-fov-deg", "73.7"]) == 2
    assert "Set only one" in capsys.readouterr().err
