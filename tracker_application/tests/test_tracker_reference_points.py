"""Files of reference points: what they may look like, and what is found wrong with them, in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered_film import Film

from tracker.cli import main
from tracker.errors import PointsInvalid
from tracker.geodesy import Plane
from tracker.point_checks import read_points
from tracker.point_doubts import doubts_about, doubts_about_scale
from tracker.reference import Frame
from tracker.tables import read_table

FRAME = Frame(0.0, 1920, 1080)
# A slanting view of flat ground: metres to pixels.
TO_PIXELS = np.array([[20.0, 3.0, 900.0], [1.0, -18.0, 600.0], [0.0002, 0.002, 1.0]])
PLACES = [(-30.0, -15.0), (28.0, -12.0), (25.0, 16.0), (-27.0, 14.0), (3.0, -5.0), (-8.0, 9.0)]


def points(count: int = 6) -> list[dict[str, Any]]:
    found = []
    for number, place in enumerate(PLACES[:count]):
        x, y, depth = TO_PIXELS @ [*place, 1.0]
        pixel = round(float(x / depth), 1), round(float(y / depth), 1)
        found.append({"name": f"P{number}", "x_px": pixel[0], "y_px": pixel[1], "x_m": place[0], "y_m": place[1]})
    return found


def in_degrees(number: int, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As latitude and longitude; swapped from point `number` on."""
    names = ("latitude_deg", "longitude_deg")
    for index, point in enumerate(given):
        place = Plane(50.78, 6.07).degrees(np.array([[point.pop("x_m"), point.pop("y_m")]]))[0].tolist()
        point.update(zip(names, place[::-1] if index >= number else place, strict=True))
    return given


def swapped(given: list[dict[str, Any]], one: int, other: int) -> list[dict[str, Any]]:
    for axis in ("x_m", "y_m"):
        given[one][axis], given[other][axis] = given[other][axis], given[one][axis]
    return given


def scaled(given: list[dict[str, Any]], across: float, along: float | None = None) -> list[dict[str, Any]]:
    for point in given:
        point["x_m"], point["y_m"] = across * point["x_m"], (along or across) * point["y_m"]
    return given


def read(directory: Path, text: str, name: str = "points.json") -> Any:
    (directory / name).write_text(text, encoding="utf-8")
    return read_points(directory / name, FRAME)


def refusal(directory: Path, given: Any) -> str:
    with pytest.raises(PointsInvalid) as refused:
        read(directory, json.dumps(given if isinstance(given, dict) else {"points": given}))
    return str(refused.value)


@pytest.mark.parametrize("count", [4, 5, 6])
def test_points_of_a_slanting_view_are_accepted(count: int, tmp_path: Path) -> None:
    given = read(tmp_path, json.dumps({"points": points(count)}))
    assert len(given.world_points) == count
    assert list(doubts_about(given)) == []


@pytest.mark.parametrize("count", [4, 6])
def test_mirrored_coordinates_are_refused(count: int, tmp_path: Path) -> None:
    assert "are mirrored: on the ground they run the other way round" in refusal(tmp_path, scaled(points(count), 1, -1))


def test_swapped_latitudes_and_longitudes_are_refused(tmp_path: Path) -> None:
    assert len(read(tmp_path, json.dumps({"points": in_degrees(9, points())})).points) == 6
    assert "Perhaps latitude and longitude are swapped" in refusal(tmp_path, in_degrees(0, points()))


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (4, 5)])
def test_two_swapped_points_are_named(one: int, other: int, tmp_path: Path) -> None:
    assert f"the points 'P{one}' and 'P{other}' of points.json are perhaps swapped" in refusal(
        tmp_path, swapped(points(), one, other)
    )


def test_one_wrong_point_of_six_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    given = points()
    given[4] |= {"x_m": 70.0, "y_m": 40.0}
    (doubt,) = doubts_about(read(tmp_path, json.dumps({"points": given})))
    assert "the point 'P4' does not fit the others" in doubt


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (scaled(points(), 1 / 111_195), "look like degrees: name them latitude_deg and longitude_deg"),
        (scaled(points(), 100), "look like centimetres"),
        (scaled(points(), 1000), "look like millimetres"),
        (scaled(points(), 0.001), "look like kilometres"),
    ],
)
def test_other_units_than_metres_are_refused_by_name(given: list[dict[str, Any]], cause: str, tmp_path: Path) -> None:
    assert cause in refusal(tmp_path, given)


def test_a_known_length_in_other_units_is_refused(tmp_path: Path) -> None:
    length = {"from_px": [100, 100], "to_px": [200, 100], "length_m": 900.0}
    assert "look like centimetres" in refusal(tmp_path, {"known_length": length})


def test_two_points_with_the_same_coordinates_are_refused(tmp_path: Path) -> None:
    given = points()
    given[3] |= {"x_m": given[2]["x_m"], "y_m": given[2]["y_m"]}
    assert "the points 'P2' and 'P3' of points.json have the same coordinates" in refusal(tmp_path, given)


def test_points_close_together_are_reported(tmp_path: Path) -> None:
    given = [*points(), {"name": "too", "x_px": points()[0]["x_px"] + 12, "y_px": points()[0]["y_px"]}]
    (doubt,) = doubts_about(read(tmp_path, json.dumps({"points": given})))
    assert "the points 'P0' and 'too' are only 12 pixels apart" in doubt


@pytest.mark.parametrize(
    ("metres_per_pixel", "said"),
    [
        (0.05, None),
        (0.45, None),
        (0.6, "outside of what this was tried on"),
        (0.9, "only 4.8 pixels long"),
        (0.004, "outside of"),
    ],
)
def test_what_a_scale_means_is_said(metres_per_pixel: float, said: str | None) -> None:
    doubts = doubts_about_scale(metres_per_pixel)
    assert len(doubts) == (said is not None)
    assert all(str(said) in doubt for doubt in doubts)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"points": [[1, 2]]}, "points[0] is [1, 2], not an object with name, x_px"),
        ({"points": {"P1": 1}}, "points of points.json is not a list"),
        ({"points": points(), "frame": "first"}, "frame of points.json is 'first', not an object"),
        ({"points": points(), "frame": {"fps": 30}}, "frame of points.json has the unknown field fps"),
        ({"points": [{**points()[0], "z_m": 1}]}, "points[0] of points.json has the unknown field z_m"),
        ({"points": [{"x_px": 1, "x_m": 0, "y_m": 0}]}, "y_px of points[0] is None"),
        ({"points": points(), "road_polygon_px": [1, 2]}, "road_polygon_px has 1, which is not a pair of pixels"),
        ({"known_length": 12}, "known_length is 12, not an object with from_px, to_px, length_m"),
        ({"known_length": {"from_px": [0, 0]}}, "to_px of known_length has None"),
        ([], "is not a JSON object"),
    ],
)
def test_a_wrong_structure_is_refused_in_words(data: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "points.json").write_text(json.dumps(data))
    with pytest.raises(PointsInvalid) as refused:
        read_points(tmp_path / "points.json", FRAME)
    assert message in str(refused.value)
    assert "Error(" not in str(refused.value)


def test_a_frame_may_be_null(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps({"points": points(), "frame": None})).frame == FRAME


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_matter(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "points.json").write_text(json.dumps({"points": points()}), encoding=encoding)
    assert len(read_points(tmp_path / "points.json", FRAME).points) == 6


@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), ("\t", ".")])
def test_a_table_is_read(separator: str, decimal: str, tmp_path: Path) -> None:
    names = list(points()[0])
    rows = [[str(point[name]).replace(".", decimal) for name in names] for point in points()]
    text = "\ufeff" + "\r\n".join(separator.join(row) for row in [names, *rows])
    expected = read(tmp_path, json.dumps({"points": points()}))
    assert read(tmp_path, text, "points.csv") == expected


@pytest.mark.parametrize("degrees", [False, True])
def test_the_points_of_qgis_are_read(degrees: bool, tmp_path: Path) -> None:  # noqa: FBT001  both kinds
    given = in_degrees(9, points()) if degrees else points()
    place = ("longitude_deg", "latitude_deg") if degrees else ("x_m", "y_m")
    rows = [
        f"{point[place[0]]},{point[place[1]]},{point['x_px'] + 0.5},{-point['y_px'] - 0.5},1,0,0,0" for point in given
    ]
    comment = '#CRS: GEOGCRS["WGS 84",DATUM["World Geodetic System 1984"]]' if degrees else '#CRS: PROJCRS["UTM"]'
    header = "mapX,mapY,sourceX,sourceY,enable,dX,dY,residual"
    off = "0,0,5,-5,0,0,0,0"
    found = read(tmp_path, "\n".join([comment, header, *rows, off]), "film.points")
    assert len(found.points) == 6
    for point, expected in zip(found.points, given, strict=True):
        assert (point.x_px, point.y_px) == pytest.approx((expected["x_px"], expected["y_px"]))
        assert (getattr(point, place[0]), getattr(point, place[1])) == (expected[place[0]], expected[place[1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("these are words\n", "has the column these are words"),
        ("x_px,y_px,height\n1,2,3\n", "has the column height"),
        ("x_px,y_px,x_m,y_m\n1,2,3,four\n", "y_m is 'four' in row 2"),
        ("x_px,y_px,x_m,y_m\n1,5,2,3,4,0,5\n", "row 2 of points.csv has 7 columns, but the header has 4"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_words(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PointsInvalid) as refused:
        read(tmp_path, text, "points.csv")
    assert message in str(refused.value)


@given(st.binary(max_size=200), st.sampled_from(["points.json", "points.csv", "film.points"]))
@settings(max_examples=60)
def test_any_file_is_read_or_refused(content: bytes, name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / name
        path.write_bytes(content)
        with pytest.raises(PointsInvalid):
            read_points(path, FRAME)


@pytest.fixture
def in_utm(film: Film, tmp_path: Path) -> Callable[[float, float], Path]:
    """The outputs of the film, with the camera estimated from points that were moved."""

    def moved(east_m: float, north_m: float) -> Path:
        outputs = tmp_path / "outputs"
        outputs.mkdir()
        for stage in film.outputs.iterdir():
            if stage.name not in {"define_reference_points", "estimate_camera"}:
                (outputs / stage.name).symlink_to(stage)
        data = json.loads((film.outputs / "define_reference_points" / "reference_points.json").read_text())
        for point in data["points"]:
            if "x_m" in point:
                point["x_m"], point["y_m"] = point["x_m"] + east_m, point["y_m"] + north_m
        (outputs / "define_reference_points").mkdir()
        (outputs / "define_reference_points" / "reference_points.json").write_text(json.dumps(data))
        words = ["--input", str(outputs), "--output", str(outputs / "estimate_camera")]
        assert main(["estimate-camera", *words]) == 0
        return outputs

    return moved


def test_utm_coordinates_give_the_same_camera_as_local_ones(in_utm: Callable[[float, float], Path], film: Film) -> None:
    outputs = in_utm(294_000.0, 5_630_000.0)
    local, utm = (
        json.loads((directory / "estimate_camera" / "camera_quality.json").read_text())
        for directory in (film.outputs, outputs)
    )
    names = ("points_rms_m", "frames_rms_px")
    assert [utm[name] for name in names] == pytest.approx([local[name] for name in names], abs=1e-3)
    fields_of_view = [quality["field_of_view"]["horizontal_fov_deg"] for quality in (utm, local)]
    assert fields_of_view[0] == pytest.approx(fields_of_view[1], rel=1e-3)
    cameras = [read_table(directory / "estimate_camera" / "camera.csv") for directory in (film.outputs, outputs)]
    assert np.allclose(*(camera["z_m"] for camera in cameras), rtol=1e-3)
    ground = json.loads((outputs / "estimate_camera" / "ground.json").read_text())
    out = outputs.parent / "exported"
    assert main(["export-trajectories", "--input", str(outputs), "--output", str(out), "--formats", "none"]) == 0
    table = read_table(out / "trajectories.csv")
    assert np.allclose(table["world_x_m"] - table["x_m"], ground["origin_m"][0])
    assert 293_000 < ground["origin_m"][0] < 295_000
    assert np.allclose(table["world_y_m"] - table["y_m"], ground["origin_m"][1])


def test_a_time_between_two_frames_means_the_frame_that_is_shown(film: Film, tmp_path: Path) -> None:
    data = json.loads(film.points.read_text())
    data["frame"]["time_s"] = 0.03
    path = tmp_path / "points.json"
    path.write_text(json.dumps(data))
    given = ["--video", str(film.video), "--reference-points", str(path)]
    assert main(["extract-frame", *given, "--output", str(tmp_path / "extract_frame")]) == 0
    shown = json.loads((tmp_path / "extract_frame" / "footage.json").read_text())["reference_frame"]
    assert shown["time_s"] > 0.03
    assert main(["define-reference-points", *given, "--input", str(tmp_path), "--output", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(("off_s", "code"), [(0.0, 0), (0.09, 13), (0.5, 13)])
def test_points_of_another_frame_are_refused(off_s: float, code: int, film: Film, tmp_path: Path) -> None:
    data = json.loads(film.points.read_text())
    data["frame"]["time_s"] = off_s
    path = tmp_path / "points.json"
    path.write_text(json.dumps(data))
    words = ["--input", str(film.outputs), "--output", str(tmp_path / "out"), "--reference-points", str(path)]
    assert main(["define-reference-points", *words]) == code
