"""The simulation: plausible traffic, images that match the truth, reproducible films."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker.cli import main
from tracker.geometry import corners, transform
from tracker.simulation.camera import Lens
from tracker.simulation.ground import PIXELS_FROM_WORLD
from tracker.simulation.light import sun_of
from tracker.simulation.render import FilmPlan, Stage
from tracker.simulation.streets import LANE_WIDTH_M, SCENES, scene_named
from tracker.simulation.traffic import Traffic, Vehicle
from tracker.tables import read_table

SEEDS = (105, 205)


@cache
def _stage(scene: str) -> Stage:
    return Stage(FilmPlan(scene=scene, width_px=1280, height_px=720, seed=3))


def _outline(vehicle: Vehicle) -> np.ndarray:
    return corners(*vehicle.pose, vehicle.length_m, vehicle.width_m).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scene", SCENES)
def test_vehicles_never_touch(scene: str, seed: int) -> None:
    for _, vehicles in Traffic(seed, 0.5, scene_named(scene)).frames(30):
        boxes = [_outline(vehicle) for vehicle in vehicles]
        for index, box in enumerate(boxes):
            for other in boxes[:index]:
                if np.hypot(*(box[0] - other[0])) < 20:
                    assert cv2.intersectConvexConvex(box, other)[0] < 0.01


def test_vehicles_queue_continue_turn_and_park() -> None:
    stood, left, movements = set(), set(), set()
    for _, vehicles in Traffic(105, 0.5, scene_named("crossroads")).frames(45):
        for vehicle in vehicles:
            movements.add(vehicle.path.movement)
            if vehicle.speed_m_s < 0.1 and vehicle.distance_m < vehicle.path.stop_m < np.inf:
                stood.add(vehicle.number)
            if vehicle.distance_m > vehicle.path.clear_m:
                left.add(vehicle.number)
    assert len(stood) >= 8
    assert len(stood & left) >= len(stood) / 3
    assert movements == {"straight", "right", "left", "parked"}


def test_the_true_speed_is_the_speed_of_the_centre() -> None:
    before: dict[int, tuple[float, float, float]] = {}
    off = []
    for _, vehicles in Traffic(105, 0.1, scene_named("crossroads")).frames(10):
        for vehicle in vehicles:
            x, y, _ = vehicle.pose
            speed = vehicle.true_speed_m_s
            if vehicle.number in before:
                was_x, was_y, was_speed = before[vehicle.number]
                off.append(abs(np.hypot(x - was_x, y - was_y) / 0.1 - (speed + was_speed) / 2))
            before[vehicle.number] = (x, y, speed)
    assert len(off) > 1000
    assert max(off) < 0.25
    assert np.median(off) < 0.01


def test_another_frame_rate_shows_the_same_traffic() -> None:
    slow, fast = (dict(Traffic(3, step).frames(2)) for step in (0.5, 0.25))
    assert [v.pose for v in slow[1.5]] == [v.pose for v in fast[1.5]]


@pytest.mark.parametrize("scene", SCENES)
def test_vehicles_on_a_lane_are_on_asphalt_and_right_of_the_centre_line(scene: str) -> None:
    ground = _stage(scene).ground
    lanes = set()
    for _, vehicles in Traffic(1, 1.0, scene_named(scene)).frames(12):
        for vehicle in vehicles:
            lane = vehicle.path.lane_at(vehicle.distance_m)
            if not lane:
                continue
            lanes.add(lane)
            x, y, heading = vehicle.pose
            to_the_right = np.array([np.sin(heading), -np.cos(heading)]) @ [x, y]
            assert to_the_right == pytest.approx((int(lane[-1]) - 0.5) * LANE_WIDTH_M, abs=0.75)
            # The joints and markings of the lane are drawn on its lines: asphalt is grey, grass is not.
            column, row = transform(PIXELS_FROM_WORLD, np.array([[x, y]]))[0].astype(int)
            if 0 <= row < ground.bare.shape[0] and 0 <= column < ground.bare.shape[1]:
                blue, green, red = ground.bare[row, column].astype(int)
                # The centre line is yellow, and a turning vehicle may cover it.
                assert abs(green - blue) < 14
                assert abs(red - green) < 14
    assert len(lanes) >= 6


@pytest.mark.parametrize("scene", SCENES)
def test_vehicles_are_drawn_at_their_true_positions(scene: str) -> None:
    stage = _stage(scene)
    vehicles = list(Traffic(3, 1.0, stage.scene).frames(3))[-1][1]
    empty, view = stage.picture(2.0, ()), stage.view(2.0)
    near = [v for v in vehicles if stage.is_visible(v, view)]
    assert len(near) >= 8
    for vehicle in near:
        changed = np.abs(stage.picture(2.0, (vehicle,)).astype(int) - empty).max(axis=2) > 10
        outline = _outline(vehicle).astype(float)
        sides = [view.pixels(np.column_stack([outline, np.full(4, height)])) for height in (0.0, vehicle.height_m)]
        hull = cv2.convexHull(np.vstack(sides).astype(np.float32))
        inside = np.zeros(changed.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(hull).astype(np.int32), 1)
        assert changed[inside > 0].mean() > 0.5
        # Only the body and its shadow have changed.
        shadow = view.pixels(np.column_stack([outline + stage.sun.shadow * vehicle.height_m, np.zeros(4)]))
        around = cv2.convexHull(np.vstack([*sides, shadow]).astype(np.float32))
        allowed = np.zeros(changed.shape, np.uint8)
        cv2.fillConvexPoly(allowed, np.round(around).astype(np.int32), 1)
        allowed = cv2.dilate(allowed, np.ones((9, 9), np.uint8))
        assert not (changed & (allowed == 0)).any()


def test_the_simulated_lens_is_invertible() -> None:
    lens = Lens(-0.02, 0.004, 640, 360)
    random = np.random.default_rng(1)
    pixels = random.uniform(0, [639, 359], (50, 2))
    assert np.abs(lens.undistorted(lens.distorted(pixels)) - pixels).max() < 1e-6
    assert np.abs(lens.distorted(pixels) - pixels).max() > 2


def test_rendered_distortion_matches_the_model() -> None:
    lens = Lens(-0.02, 0.0, 640, 360)
    margin = lens.margin_px
    picture = np.zeros((360 + 2 * margin, 640 + 2 * margin, 3), np.uint8)
    dot = np.array([[60.0, 300.0]])
    cv2.circle(picture, (60 + margin, 300 + margin), 4, (255, 255, 255), -1)
    film = lens.film(picture)[..., 0].astype(float)
    rows, columns = np.indices(film.shape)
    middle = [(film * columns).sum() / film.sum(), (film * rows).sum() / film.sum()]
    assert film.shape == (360, 640)
    assert middle == pytest.approx(lens.distorted(dot)[0], abs=0.1)


def _simulated(directory: Path, *words: str) -> None:
    basics = ["--seconds", "0.6", "--fps", "10", "--width", "640", "--seed", "9"]
    assert main(["simulate", "--output", str(directory), *basics, *words]) == 0


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    options = ("--scene", "straight", "--lighting", "clouds", "--trees", "swaying", "--lens-k1", "-0.02")
    for name in ("one", "two"):
        _simulated(tmp_path / name, *options, "--bitrate-mbit-s", "2")
    for name in ("video.mp4", "truth.csv", "camera_truth.csv", "reference_points.json", "lens_truth.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_points_are_rounded_to_half_a_pixel_or_exact(tmp_path: Path) -> None:
    _simulated(tmp_path / "clicked", "--road-polygon")
    _simulated(tmp_path / "exact", "--exact-points")
    clicked, exact = (
        json.loads((tmp_path / name / "reference_points.json").read_text()) for name in ("clicked", "exact")
    )
    truth = read_table(tmp_path / "exact" / "camera_truth.csv")
    matrix = np.array([truth[f"h{row}{column}"][0] for row in "123" for column in "123"]).reshape(3, 3)
    for one, other in zip(clicked["points"], exact["points"], strict=True):
        true = transform(matrix, np.array([[one["x_m"], one["y_m"]]]))[0]
        assert [other["x_px"], other["y_px"]] == pytest.approx(true, abs=1e-4)
        assert [one["x_px"], one["y_px"]] == pytest.approx(true, abs=0.2501)
        assert one["x_px"] * 2 % 1 == 0
    assert len(clicked["points"]) >= 6
    assert len(clicked["road_polygon_px"]) == 12


def test_a_cloud_darkens_the_image_and_removes_shadows() -> None:
    sun = sun_of(3, "clouds")
    moments = [sun.at(time_s) for time_s in np.arange(0, 21, 0.5)]
    brightness, strength = (np.array(values) for values in zip(*moments, strict=True))
    assert strength.min() < 0.25 * strength.max()
    assert brightness.min() < 0.8 * brightness.max()
    assert np.abs(np.diff(brightness)).max() < 0.2
