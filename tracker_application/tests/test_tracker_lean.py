"""The correction of parallax, checked with vehicles that drive through the picture."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_boxes import boxes

from tracker.lean import LEAN, LEANING, camera_for, lean_share, leaning_by
from tracker.parallax import CAR, as_seen, on_ground
from tracker.stages.track_vehicles import Parameters, follow, usable
from tracker.tables import Table

CAMERA_M = np.array([0.0, 0.0, 75.0])


def passing(vehicles: int, leaning: float, *, noise_m: float = 0.05) -> Table:
    """Cars that drive by below the camera; their outlines lean by this share of what the correction assumes."""
    random = np.random.default_rng(7)
    rows = [
        (40 * number + frame, x, 3.0 * (number % 3) - 3, 0.0)
        for number in range(vehicles)
        for frame, x in enumerate(np.arange(-45.0, 45.0, 1.5))
    ]
    sizes = np.array([[3.7 + 0.1 * (number % 6), 1.8] for number in range(vehicles)]).repeat(60, axis=0)
    ground = np.column_stack([np.array(rows)[:, 1:3], np.zeros(len(rows)), sizes])
    seen = ground + leaning * (as_seen(ground, CAMERA_M, CAR) - ground)
    seen[:, [0, 3]] += random.normal(0, noise_m, (len(rows), 2))
    corrected = on_ground(seen, CAMERA_M, CAR)
    order = np.argsort([row[0] for row in rows], kind="stable")
    table = boxes([rows[row] for row in order])
    table |= {name: corrected[order, column] for name, column in zip(LEANING, (0, 1, 3, 4), strict=True)}
    lean = seen - corrected
    return usable(table | {name: lean[order, column] for name, column in zip(LEAN, (0, 1, 3, 4), strict=True)})


@pytest.mark.parametrize(("leaning", "share"), [(0.0, 0.0), (0.3, 0.3), (1.0, None), (0.85, None), (1.8, 1.8)])
def test_how_far_vehicles_lean_is_measured_where_the_correction_is_wrong(leaning: float, share: float | None) -> None:
    table = passing(10, leaning)
    found = lean_share(table, follow(table, Parameters()))
    assert found == (share if share is None else pytest.approx(share, abs=0.2))


def test_boxes_of_vehicles_that_do_not_lean_are_their_outlines() -> None:
    table = passing(6, 0.0)
    flat = leaning_by(table, 0.0)
    assert np.allclose(flat["x_m"], table["x_m"] + table["lean_x_m"])
    assert np.ptp(flat["length_m"] - table["length_m"]) > 0.2


def test_too_few_or_too_unlike_vehicles_tell_nothing() -> None:
    few, unlike = passing(4, 0.0), passing(6, 0.4, noise_m=1.5)
    assert lean_share(few, follow(few, Parameters())) is None
    assert lean_share(unlike, follow(unlike, Parameters())) is None


@pytest.mark.parametrize("share", [0.0, 0.4, 1.7])
def test_boxes_are_drawn_where_the_outlines_are(share: float) -> None:
    table = passing(6, 1.0, noise_m=0)
    outline = np.column_stack([table["x_m"] + table["lean_x_m"], table["length_m"] + table["lean_length_m"]])
    boxes_m = leaning_by(table, share)
    ground = np.column_stack([boxes_m[name] for name in ("x_m", "y_m", "x_m", "length_m", "width_m")])
    ground[:, 2] = 0
    seen = as_seen(ground, camera_for({"lean_share": np.array([share])}, CAMERA_M[None])[0], CAR)
    assert np.allclose(seen[:, [0, 3]], outline, atol=0.05)


def test_boxes_without_outlines_are_left_as_they_are() -> None:
    table = passing(10, 0.0)
    for name in LEAN:
        del table[name]
    assert lean_share(table, follow(table, Parameters())) is None
