"""Lanes from known courses, lane assignment, and a user's corrections."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered_film import Film

from tracker.arrays import Floats
from tracker.cli import main
from tracker.lanes import Lane, _joined, assign, certainty, course, directions, find_lanes
from tracker.tables import read_table

X = np.arange(0, 60, 0.7)
BEND = np.linspace(0, np.pi / 2, 40)
FAST = {"width_m": 3.2, "min_vehicles": 2, "min_length_m": 15.0}


def _ways() -> list[Floats]:
    """Two vehicles on each of two lanes, and one that turns off."""
    ways = [np.column_stack([X, np.full(len(X), y)]) for y in (0.1, -0.1, 3.4, 3.6)]
    return [*ways, np.column_stack([20 * np.sin(BEND), 20 - 20 * np.cos(BEND)])]


def _lanes(ways: list[Floats]) -> list[Lane]:
    return find_lanes([course(number, way) for number, way in enumerate(ways)], **FAST)


def test_two_lanes_are_found_with_their_distance_as_width() -> None:
    lanes = _lanes(_ways())
    assert sorted(round(float(lane.middle_m[:, 1].mean()), 1) for lane in lanes) == [0.0, 3.5]
    assert all(len(lane.track_ids) >= 2 for lane in lanes)
    assert all(lane.width_m == pytest.approx(3.5, abs=0.1) for lane in lanes)


@given(st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))
@settings(max_examples=20)
def test_lanes_are_invariant_to_translation_and_rotation(turn: float, x: float, y: float) -> None:
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    named = []
    for ways in (_ways(), [way @ matrix.T + [x, y] for way in _ways()]):
        lanes = _lanes(ways)
        alike = [assign(lanes, way, directions(way)) for way in ways]
        named.append([[names[at] for at in range(5, len(names) - 5, 5)] for names in alike])
    assert named[0] == named[1]


@given(st.floats(-1.0, 1.0), st.integers(0, 1))
@settings(max_examples=20)
def test_a_vehicle_along_a_lane_is_assigned_to_it_throughout(beside: float, which: int) -> None:
    lanes = _lanes(_ways())
    way = np.column_stack([X, np.full(len(X), 3.5 * which + beside)])
    names = assign(lanes, way, directions(way))
    (name,) = set(names)
    assert next(lane for lane in lanes if lane.lane_id == name).middle_m[:, 1].mean() == pytest.approx(
        3.5 * which, abs=0.1
    )


def test_a_lane_change_is_one_change_and_noise_is_none() -> None:
    lanes = _lanes(_ways())
    y = 3.5 / (1 + np.exp(-(X - 30) / 2)) + np.random.default_rng(3).normal(0, 0.4, len(X))
    names = assign(lanes, np.column_stack([X, y]), np.zeros(len(X)))
    assert sum(first != second for first, second in pairwise(names)) == 1


def test_vehicles_that_stand_ahead_of_a_lane_extend_it_and_those_beside_it_do_not() -> None:
    end = float(X[-1])
    queue = np.array([[end + 6.5, 0.2, 0.02], [end + 13.0, 0.0, np.pi], [end + 26.0, 0.0, 0.0], [end + 5.0, -2.8, 0.0]])
    lanes = find_lanes([course(number, way) for number, way in enumerate(_ways())], standing=queue, **FAST)
    assert len(lanes) == 2
    longest = max(lanes, key=lambda lane: lane.length_m)
    assert longest.middle_m[-1] == pytest.approx([end + 13.0, 0.0], abs=1.0)


def test_a_lane_of_which_nobody_drove_all_is_one_lane_and_one_beside_it_another() -> None:
    ways = [
        np.column_stack([X + start, np.full(len(X), y)]) for start, y in ((0, 0.2), (66, -0.1), (120, 0.0), (66, 3.5))
    ]
    lanes = sorted(_each(ways), key=lambda lane: -lane.length_m)
    assert [round(float(lane.middle_m[0, 0])) for lane in lanes] == [0, 66]
    assert lanes[0].middle_m[-1, 0] == pytest.approx(179, abs=1.5)
    assert np.abs(lanes[0].middle_m[:, 1]).max() < 0.4
    assert lanes[0].track_ids == (0, 1, 2)


def test_a_lane_that_begins_where_a_longer_one_begins_becomes_part_of_it() -> None:
    long, short = (np.column_stack([np.arange(0, until), np.full(until, y)]) for until, y in ((60, 0.0), (40, 1.2)))
    (whole,) = _joined([_lane("short", short), _lane("long", long)], near_m=1.8)
    assert whole.length_m == pytest.approx(59, abs=1)


def _lane(name: str, middle: Floats) -> Lane:
    return Lane(name, middle, directions(middle), ())


def test_lanes_that_meet_at_an_angle_or_far_apart_stay_two() -> None:
    turned = np.column_stack([64 + 0.7 * X, 0.7 * X])
    far = np.column_stack([X + 74, np.zeros(len(X))])
    assert len(_each([np.column_stack([X, np.zeros(len(X))]), turned])) == 2
    assert len(_each([np.column_stack([X, np.zeros(len(X))]), far])) == 2


def _each(ways: list[Floats]) -> list[Lane]:
    courses = [course(number, way) for number, way in enumerate(ways)]
    return find_lanes(courses, width_m=3.2, min_vehicles=1, min_length_m=15.0)


def test_a_slow_queue_extends_its_lane() -> None:
    queue = [np.column_stack([np.arange(-end - 8, -end, 0.7), np.full(12, 0.2)]) for end in (-2, 5, 12)]
    lanes = _lanes([*_ways(), *queue])
    assert len(lanes) == 2
    longest = max(lanes, key=lambda lane: lane.length_m)
    assert longest.middle_m[0] == pytest.approx([-20, 0.2], abs=1.0)
    assert set(assign(lanes, queue[2], np.zeros(12))) == {longest.lane_id}
    # Across a gap, nothing indicates that it is the same lane.
    far = np.column_stack([np.arange(-40.0, -32, 0.7), np.full(12, 0.2)])
    assert max(lane.length_m for lane in _lanes([*_ways(), *queue, far])) == pytest.approx(longest.length_m, abs=1.0)


def test_a_vehicle_against_a_lane_is_on_none() -> None:
    lanes = _lanes(_ways())
    against = _ways()[0][::-1]
    assert set(assign(lanes, against, directions(against))) == {""}


def test_stationary_vehicles_form_no_lane() -> None:
    assert find_lanes([course(1, np.zeros((50, 2)))], **FAST) == []
    assert assign([], np.zeros((3, 2)), np.zeros(3)) == ["", "", ""]


def _detect(film: Film, tmp_path: Path, content: Any) -> int:
    path = tmp_path / "lanes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return main(["detect-lanes", "--input", str(film.outputs), "--output", str(tmp_path / "out"), "--lanes", str(path)])


def _feature(line: Any, **properties: Any) -> dict[str, Any]:
    geometry = None if line is None else {"type": "LineString", "coordinates": line}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def test_drawn_lanes_replace_detected_ones(film: Film, tmp_path: Path) -> None:
    eastwards = _feature([[-80, -5.25], [80, -5.25]], lane_id="eastwards")
    assert _detect(film, tmp_path, {"features": [eastwards]}) == 0
    table = read_table(tmp_path / "out" / "tracks.parquet")
    assert set(table["lane_id"]) <= {"", "eastwards"}
    on = table["lane_id"] == "eastwards"
    assert (np.abs(table["y_m"][on] + 5.25) < 3.2).all()
    lanes = json.loads((tmp_path / "out" / "lanes.geojson").read_text())["features"]
    assert [(lane["id"], lane["properties"]["certainty"]) for lane in lanes] == [("eastwards", "given")]


@pytest.mark.parametrize(
    ("vehicles", "sure"), [(1, "low"), (2, "low"), (3, "fair"), (4, "fair"), (5, "high"), (90, "high")]
)
def test_lanes_of_more_vehicles_are_surer(vehicles: int, sure: str) -> None:
    assert certainty(vehicles) == sure


def test_lanes_of_one_or_two_vehicles_are_named(film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect-lanes", "--input", str(film.outputs), "--output", str(tmp_path)]) == 0
    lanes = [lane["properties"] for lane in json.loads((tmp_path / "lanes.geojson").read_text())["features"]]
    unsure = [lane["lane_id"] for lane in lanes if lane["vehicles"] <= 2]
    assert unsure == [lane["lane_id"] for lane in lanes if lane["certainty"] == "low"]
    said = f"WARNING: {len(unsure)} of {len(lanes)} lanes were found from one or two vehicles, and may be none: "
    assert said + ", ".join(unsure) in capsys.readouterr().err


def test_detected_lanes_are_renamed_and_joined(film: Film, tmp_path: Path) -> None:
    before = read_table(film.outputs / "detect_lanes" / "tracks.parquet")["lane_id"]
    assert _detect(film, tmp_path, {"features": [_feature(None, lane_id="main", of=["L1", "L2"])]}) == 0
    after = read_table(tmp_path / "out" / "tracks.parquet")["lane_id"]
    assert np.array_equal(after == "main", np.isin(before, ["L1", "L2"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ({"features": []}, "contains no features"),
        ({"units": "feet", "features": [_feature([[0, 0], [9, 0]], lane_id="a")]}, "lanes.json has units 'feet'"),
        ({"features": [_feature([[0, 0]], lane_id="a")]}, "features[0] of lanes.json has only 1 point"),
        ({"features": [_feature([[0, 0], ["x", 1]], lane_id="a")]}, "not pairs of numbers"),
        ({"features": [_feature([[0, 0], [9, 0]])]}, "has no lane_id"),
        ({"features": [_feature(None, lane_id="a")]}, "neither a line nor `of`"),
        ({"features": [_feature(None, lane_id="a", of=["L99"])]}, "names unknown lanes: L99. Detected lanes: L1"),
        ({"features": [_feature([[0, 0], [9, 0]], lane_id="a")] * 2}, "two lanes named 'a'"),
    ],
)  # fmt: skip
def test_invalid_lanes_are_rejected_with_the_reason(
    content: Any, message: str, film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _detect(film, tmp_path, content) == 17
    assert message in capsys.readouterr().err
