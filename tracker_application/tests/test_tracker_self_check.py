"""The judgement of trajectories without ground truth: what is implausible is found and said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rendered_film import Film as RenderedFilm

from tracker.ground import Ground
from tracker.reference import Frame
from tracker.self_check import Film, SelfCheck, check_self
from tracker.tables import Table

# 100 m x 60 m, 0.1 m per pixel, the origin in the middle; ten frames per second.
TO_WORLD = np.array([[0.1, 0, -50.0], [0, -0.1, 30.0], [0, 0, 1.0]])
TIMES_S = np.arange(100) / 10


def film_of(*, pixel_m: float = 0.1, tilt_deg: float = 5.0) -> Film:
    ground = Ground(TO_WORLD, "world points", 0.0, pixel_m, np.zeros(3), Frame(0.0, 1000, 600), np.zeros((0, 2)))
    return Film(ground, TIMES_S, np.broadcast_to(np.eye(3), (100, 3, 3)), tilt_deg)


def track(number: int, first: int, last: int, x_m: np.ndarray, y_m: float = 0.0) -> Table:
    frames = np.arange(first, last)
    x = np.broadcast_to(x_m, frames.shape).astype(float)
    speed = np.gradient(x, 0.1)
    count = len(frames)
    return {
        "track_id": np.full(count, number), "frame": frames, "time_s": frames / 10, "x_m": x,
        "y_m": np.full(count, y_m), "speed_m_s": np.abs(speed), "acceleration_m_s2": np.gradient(speed, 0.1),
        "length_m": np.full(count, 4.5), "observed": np.ones(count, int),
    }  # fmt: skip


def through(number: int, y_m: float = 0.0) -> Table:
    """From the left border to the right one, at 13 m/s."""
    return track(number, 12, 87, -49 + 1.3 * np.arange(75), y_m)


def judged(*tracks: Table, off_m: float = 0.0, length_m: float = 4.5, **options: float) -> SelfCheck:
    table = {name: np.concatenate([part[name] for part in tracks]) for name in tracks[0]}
    order = np.argsort(table["frame"], kind="stable")
    jumps = np.where(np.arange(len(order)) % 5 == 0, off_m, 0.0)
    lengths = np.where(np.arange(len(order)) % 2 == 0, length_m, 4.5)
    boxes = {name: table[name][order] for name in ("frame", "x_m", "y_m")}
    boxes |= {"x_m": boxes["x_m"] + jumps, "length_m": lengths, "whole": np.ones(len(order))}
    return check_self(table, boxes, film_of(**options))


def test_vehicles_that_drive_through_raise_no_doubt() -> None:
    check = judged(
        *(through(number, 4.0 * number) for number in (-2, -1, 1, 2)), track(5, 0, 100, np.array(20.0), 10.0)
    )
    assert check.doubts == check.outside_of_what_was_tried == ()
    assert check.verdict == "Nothing implausible was found"
    assert (check.figures["entered"], check.figures["left"]) == (4, 4)
    assert [(arm["in"], arm["out"]) for arm in check.arms] == [(4, 0), (0, 4)]


def test_a_track_that_begins_inside_the_picture_is_named() -> None:
    check = judged(through(1), track(2, 30, 90, -10 + 1.0 * np.arange(60), 8.0))
    assert check.figures["track_ids"]["begin_or_end_inside"] == [2]
    assert "1 of 2 tracks begin or end inside the picture" in check.doubts[0]


@pytest.mark.parametrize("x_m", [-49 + 7.0 * np.arange(14), 20 + 8 * np.sin(np.arange(100) / 2)])
def test_speeds_that_no_car_drives_are_named(x_m: np.ndarray) -> None:
    check = judged(track(1, 0, len(x_m), x_m))
    assert check.figures["track_ids"]["impossible_speeds"] == [1]
    assert any("accelerate more than vehicles can: is the scale right?" in doubt for doubt in check.doubts)


def test_boxes_that_jump_and_sizes_that_change_are_counted() -> None:
    assert judged(through(1)).figures["boxes_that_jump"] == 0
    check = judged(through(1), off_m=1.5)
    assert check.figures["boxes_that_jump"] == pytest.approx(0.2, abs=0.02)
    assert "from their vehicle's path" in check.doubts[0]
    assert judged(through(1), length_m=9.0).figures["track_ids"]["size_changes"] == [1]


@pytest.mark.parametrize(
    ("options", "said"), [({"pixel_m": 0.6}, "a pixel is 0.6 m wide"), ({"tilt_deg": 50.0}, "50 degrees away")]
)
def test_a_film_unlike_any_that_was_tried_is_reported(options: dict[str, float], said: str) -> None:
    check = judged(through(1), **options)
    assert check.verdict.startswith("Outside of what this was tried on: ")
    assert said in check.outside_of_what_was_tried[0]


def test_the_judgement_is_in_quality_json_and_in_the_report(film: RenderedFilm) -> None:
    charts = film.outputs / "create_charts"
    quality = json.loads((charts / "quality.json").read_text())
    assert quality["figures"]["vehicles"] >= 12
    assert quality["figures"]["tracks_with_impossible_speeds"] == 0
    assert quality["outside_of_what_was_tried"] == []
    assert {"x_m", "y_m", "in", "out"} == set(quality["arms"][0])
    assert quality["verdict"].split(";")[0] in (charts / "report.html").read_text()
