"""Single functions, compared with known results."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.ahead import ahead
from tracker.background import median_picture
from tracker.foreground import blobs, difference, foreground_mask, learn_shadows
from tracker.geometry import angle_between, corners, metres_per_pixel, scaling, transform
from tracker.lanes import course
from tracker.simulation.traffic import Traffic
from tracker.tables import groups, read_table, write_table


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_the_median_image_is_the_lower_median_of_each_pixel(count: int, seed: int) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)
    expected = np.sort(pictures, axis=0)[(count - 1) // 2]
    assert np.array_equal(median_picture(list(pictures)), expected)


def test_a_vehicle_is_detected_without_its_shadow() -> None:
    random = np.random.default_rng(1)
    background = random.normal(110, 3, (200, 300, 3)).clip(0, 255).astype(np.uint8)
    picture = background.copy()
    picture[80:120, 130:220] //= 2  # the shadow
    picture[70:110, 120:210] = (200, 205, 210)
    found = difference(picture, background, np.full((200, 300), 20, np.uint8))
    shadows = learn_shadows([found], edge_px=3)
    assert shadows is not None
    assert abs(shadows.core - 64) <= 4
    (blob,) = blobs(foreground_mask(found, shadows), 3, 9, 200)
    assert np.allclose(blob.corners_px.mean(axis=0), [164.5, 89.5], atol=1.5)
    assert np.allclose(np.ptp(blob.corners_px, axis=0), [90, 40], atol=4)


def test_a_stationary_vehicle_has_no_course() -> None:
    assert len(course(1, np.zeros((50, 2))).points_m) == 0


def test_a_reduced_image_keeps_its_pixel_centres() -> None:
    # Two by two pixels become one: its centre is the centre of the four.
    assert np.allclose(transform(scaling(0.5), np.array([[0.5, 0.5]])), [[0.0, 0.0]])


def test_the_scale_is_in_metres_per_pixel() -> None:
    assert metres_per_pixel(np.diag([0.05, -0.05, 1.0]), np.array([100.0, 80.0])) == pytest.approx(0.05)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_the_difference_of_directions_is_at_most_half_a_turn(first: float, second: float) -> None:
    difference_rad = float(angle_between(first, second))
    assert abs(difference_rad) <= np.pi + 1e-9
    assert np.isclose(np.cos(difference_rad), np.cos(first - second), atol=1e-9)


def test_a_box_starts_with_its_front_left_corner() -> None:
    assert np.allclose(corners(10, 5, 0.0, 4, 2)[0], [12, 6])
    assert np.allclose(corners(10, 5, np.pi / 2, 4, 2)[0], [9, 7])


def test_a_table_survives_writing_and_reading(tmp_path: Path) -> None:
    columns = {"track_id": [2, 1, 2], "x_m": [1.25, float("nan"), -0.5], "class": ["car", "", "truck_bus"]}
    write_table(tmp_path / "table.csv", columns)
    table = read_table(tmp_path / "table.csv", ("track_id",))
    assert table["track_id"].tolist() == [2, 1, 2]
    assert np.array_equal(table["x_m"], [1.25, np.nan, -0.5], equal_nan=True)
    assert groups(table, "track_id")[2]["class"].tolist() == ["car", "truck_bus"]


def test_the_same_seed_gives_the_same_traffic() -> None:
    first, second = ([v.pose for _, vehicles in Traffic(5, 0.1).frames(2) for v in vehicles] for _ in range(2))
    assert first == second


def test_the_next_item_is_made_while_the_last_one_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in ahead(items()):
        # Were the next item made only when it is asked for, this would wait forever.
        assert all(event.wait(60) for event in begun[: number + 2])


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(made)
