"""Reference points in WGS84, their tangent plane, and UTM."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.camera import Intrinsics
from tracker.errors import PointsInvalid
from tracker.geodesy import Plane
from tracker.ground import Ground
from tracker.ground_fit import fit_to_world
from tracker.point_checks import check_points
from tracker.reference import Frame, parse_points

FRAME = Frame(0.0, 1000, 1000)


@given(st.floats(-79, 83), st.floats(-180, 179.99), st.floats(-400, 400), st.floats(-400, 400))
def test_metres_survive_conversion_to_degrees_and_back(latitude: float, longitude: float, x: float, y: float) -> None:
    plane = Plane(latitude, longitude)
    place = np.array([[x, y]])
    assert np.abs(plane.metres(plane.degrees(place)) - place).max() < 1e-4


def test_utm_matches_known_coordinates() -> None:
    # The start of a trajectory in geo-trax's sample is at these degrees; zone 52 north.
    plane = Plane(37.3893296, 126.6635021)
    assert plane.utm_epsg == 32652
    east, north = plane.utm(np.zeros((1, 2)))[0]
    assert 280_000 < east < 300_000
    assert 4_130_000 < north < 4_150_000
    moved = plane.utm(np.array([[0.0, 0.0], [100.0, 0.0]]))
    assert np.hypot(*(moved[1] - moved[0])) == pytest.approx(100, rel=5e-4)


def _points(kind: str) -> dict[str, object]:
    corners = [(0, 0), (900, 0), (900, 800), (0, 800)]
    points = []
    for number, (x, y) in enumerate(corners):
        degrees = Plane(50.78, 6.07).degrees(np.array([[x * 0.1, -y * 0.1]]))[0]
        world = {"x_m": x * 0.1, "y_m": -y * 0.1} if kind == "metres" else dict(
            zip(("latitude_deg", "longitude_deg"), degrees.tolist(), strict=True)
        )  # fmt: skip
        points.append({"name": f"P{number}", "x_px": x, "y_px": y, **world})
    return {"points": points}


def test_points_in_degrees_and_in_metres_give_the_same_scale(tmp_path: Path) -> None:
    path = tmp_path / "reference_points.json"
    path.write_text(json.dumps(_points("degrees")))
    points = parse_points(path, FRAME)
    check_points(points, FRAME, path.name)
    in_metres, plane = points.in_metres()
    assert plane is not None
    fit = fit_to_world(in_metres, Intrinsics.from_field_of_view(1000, 1000, 60))
    assert fit.source == "world points"
    assert max(fit.errors_m.values()) < 1e-3
    Ground(fit.to_world, fit.source, 0.0, 0.1, np.zeros(3), FRAME, np.zeros((0, 2)), plane).write(
        tmp_path / "ground.json"
    )
    assert Ground.read(tmp_path / "ground.json").plane == plane
    assert json.loads((tmp_path / "ground.json").read_text())["plane"]["utm_epsg"] == 32632


def test_mixing_metres_and_degrees_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "reference_points.json"
    mixed = _points("degrees")
    mixed["points"][0] = _points("metres")["points"][0]  # type: ignore[index]
    path.write_text(json.dumps(mixed))
    with pytest.raises(PointsInvalid, match="in metres and points in degrees"):
        check_points(parse_points(path, FRAME), FRAME, path.name)


def test_a_latitude_out_of_range_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "reference_points.json"
    wrong = _points("degrees")
    wrong["points"][2]["latitude_deg"] = 93.0  # type: ignore[index]
    path.write_text(json.dumps(wrong))
    with pytest.raises(PointsInvalid, match=r"points\[2\] has a latitude"):
        parse_points(path, FRAME)
