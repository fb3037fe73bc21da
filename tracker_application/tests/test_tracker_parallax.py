"""Parallax correction, compared with drawn vehicles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.geometry import transform
from tracker.parallax import BODIES, CAR, as_seen, box, on_ground, point_on_ground
from tracker.simulation.camera import View, view_at
from tracker.simulation.streets import scene_named
from tracker.simulation.traffic import Vehicle
from tracker.simulation.vehicles import draw_vehicles

SIZE = 1920, 1080


def _outline(vehicle: Vehicle, view: View) -> np.ndarray:
    """The box around the vehicle's drawn pixels, with its orientation: what a perfect detector sees."""
    x, y, heading = vehicle.pose
    # On a black road there are no shadows.
    drawn = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    draw_vehicles(drawn, [vehicle], view, np.array([0.3, -0.4]), 0.5)
    pixels = cv2.findNonZero((drawn.max(axis=2) > 12).astype(np.uint8)).reshape(-1, 2).astype(np.float64)
    ground = transform(np.linalg.inv(view.ground_to_pixels), pixels)
    axes = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    edges = (ground - [x, y]) @ axes.T
    middle = (edges.min(axis=0) + edges.max(axis=0)) / 2 @ axes + [x, y]
    return np.array([[*middle, heading, *np.ptp(edges, axis=0)]])


@pytest.mark.parametrize(("kind", "height_m"), [("car", 1.5), ("van", 2.3), ("truck", 3.1)])
def test_drawn_vehicles_are_located_on_the_ground(kind: str, height_m: float) -> None:
    view = view_at(2.0, *SIZE)
    length_m, width_m = (4.4, 1.85) if kind == "car" else (8.0, 2.3)
    before, after = [], []
    for path in scene_named("crossroads").paths[:8:3]:
        for along_m in (55.0, 85.0, 110.0):
            vehicle = Vehicle(8, kind, path, length_m, width_m, height_m, 10, 10, along_m)
            place = view.pixels(np.array([[*vehicle.pose[:2], 0.0]]))[0]
            if not (150 < place[0] < SIZE[0] - 150 and 150 < place[1] < SIZE[1] - 150):
                continue
            seen = _outline(vehicle, view)
            body = CAR if kind == "car" else box(height_m)
            stands = on_ground(seen, view.position_m, body)
            before.append(np.hypot(*(seen[0, :2] - vehicle.pose[:2])))
            after.append(np.hypot(*(stands[0, :2] - vehicle.pose[:2])))
    assert len(after) >= 6
    # A truck's cab is lower than its load, so a box is only an approximation.
    assert max(after) < (0.05 if kind == "car" else 0.4)
    assert np.mean(after) < (0.25 if kind == "car" else 0.6) * np.mean(before)


boxes = st.tuples(
    st.floats(-60, 60), st.floats(-60, 60), st.floats(-4, 4), st.floats(3, 15), st.floats(1.5, 2.6)
)  # fmt: skip


@given(boxes, st.sampled_from(sorted(BODIES)), st.floats(40, 200))
@settings(max_examples=100)
def test_as_seen_and_on_ground_are_inverse(stands: tuple[float, ...], kind: str, camera_height_m: float) -> None:
    camera = np.array([3.0, -4.0, camera_height_m])
    boxes = np.array([stands])
    again = on_ground(as_seen(boxes, camera, box(2.5)), camera, box(2.5))
    assert np.allclose(again, boxes, atol=1e-9)
    # Roof insets are shares of the visible size, which is larger than the vehicle's: this tolerance covers that.
    seen = as_seen(boxes, camera, BODIES[kind])
    near = on_ground(seen, camera, BODIES[kind])
    most = max(max(layer.ends, layer.sides) for layer in BODIES[kind]) * (seen - boxes)[0, 3:]
    assert (np.abs(near - boxes)[0, 3:] <= 2 * most + 1e-9).all()
    assert np.hypot(*(near - boxes)[0, :2]) <= np.hypot(*most) / 2 + 1e-9


def test_a_half_turn_of_a_box_changes_nothing() -> None:
    seen = np.array([[30.0, 12.0, 0.4, 4.5, 1.9]])
    turned = seen + [0, 0, np.pi, 0, 0]
    camera = np.array([0.0, 0.0, 80.0])
    assert np.allclose(on_ground(seen, camera, CAR)[:, [0, 1, 3, 4]], on_ground(turned, camera, CAR)[:, [0, 1, 3, 4]])


def test_a_point_on_a_roof_is_closer_to_the_cameras_foot_than_it_appears() -> None:
    camera = np.array([[10.0, 0.0, 100.0], [0.0, 0.0, 50.0]])
    seen = np.array([[30.0, 40.0], [30.0, 40.0]])
    assert np.allclose(point_on_ground(seen, camera, np.array([2.0, 5.0])), [[29.6, 39.2], [27.0, 36.0]])
    assert np.allclose(point_on_ground(seen, camera[0], 0.0), seen)
