"""Tracking scores, compared with hand-computed values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tracker.cli import main
from tracker.detectors.classes import kind_of
from tracker.simulation.evaluation import compare
from tracker.simulation.scores import Sight, clear, hota, idf1
from tracker.simulation.sightings import NETWORK, sightings
from tracker.tables import write_table


def _sights(*frames: tuple[list[int], list[int]]) -> list[Sight]:
    """The n-th estimated vehicle matches the n-th true one perfectly; -1 means none."""
    sights = []
    for true, estimated in frames:
        pairs = list(zip(true, estimated, strict=True))
        like = np.array(
            [[float(i == j) for j, (_, b) in enumerate(pairs) if b >= 0] for i, (a, _) in enumerate(pairs) if a >= 0]
        )
        rows, columns = [a for a in true if a >= 0], [b for b in estimated if b >= 0]
        sights.append(Sight(np.array(rows, int), np.array(columns, int), like.reshape(len(rows), len(columns))))
    return sights


def test_perfect_tracking_scores_one() -> None:
    sights = _sights(([1, 2], [7, 8]), ([1, 2], [7, 8]), ([2], [8]))
    assert clear(sights, 0.5).mota == 1
    assert idf1(sights, 0.5) == 1
    assert hota(sights).hota == pytest.approx(1)


def test_a_switch_a_miss_and_a_false_vehicle_match_hand_computed_scores() -> None:
    # One vehicle on four frames: number 5, 5, none, 6; and a false vehicle 9 on the first.
    sights = _sights(([1, -1], [5, 9]), ([1], [5]), ([1], [-1]), ([1], [6]))
    counted = clear(sights, 0.5)
    assert (len(counted.pairs), counted.true, counted.false, counted.switches) == (3, 4, 1, 1)
    assert counted.mota == pytest.approx(1 - (1 + 1 + 1) / 4)
    # Identity 5 for all: 2 right of 4 true and 4 estimated.
    assert idf1(sights, 0.5) == pytest.approx(2 * 2 / (4 + 4))
    # Detection: 3 of 3 + 1 missed + 1 false. Association: 2 matches at 2/4, 1 match at 1/4.
    scored = hota(sights)
    assert scored.detection == pytest.approx(3 / 5)
    assert scored.association == pytest.approx((2 * 2 / 4 + 1 * 1 / 4) / 3)
    assert scored.hota == pytest.approx(math.sqrt(3 / 5 * (5 / 4) / 3))


def test_hota_counts_the_thresholds_that_a_similarity_reaches() -> None:
    sights = [Sight(np.array([1]), np.array([1]), np.array([[0.5]]))]
    assert hota(sights).hota == pytest.approx(10 / 19)
    assert clear(sights, 0.5).mota == 1
    assert clear(sights, 0.6).mota == -1


def test_a_previous_match_is_kept_even_if_another_vehicle_is_closer() -> None:
    first = Sight(np.array([1]), np.array([5]), np.array([[0.9]]))
    second = Sight(np.array([1]), np.array([5, 6]), np.array([[0.6, 0.9]]))
    assert clear([first, second], 0.5).switches == 0


def test_truth_compared_with_itself_has_no_errors() -> None:
    _, truth = sightings(NETWORK, seed=7, seconds=8, rate_hz=5)
    kinds = np.array([kind_of(name) for name in truth["class"]], object)
    estimated = {**truth, "track_id": truth["vehicle_id"] + 100, "speed_km_h": 3.6 * truth["speed_m_s"], "class": kinds}
    figures = compare(estimated, truth)
    assert figures.vehicles > 5
    assert (figures.mota, figures.idf1, figures.hota) == pytest.approx((100, 100, 100))
    assert figures.position_error_p95_m == 0
    assert figures.movement_count_error == 0
    assert figures.lane_assignment == 100
    assert figures.class_right == 100


def test_a_class_that_is_wrong_for_one_vehicle_counts_on_all_its_frames() -> None:
    _, truth = sightings(NETWORK, seed=7, seconds=8, rate_hz=5)
    estimated = {**truth, "track_id": truth["vehicle_id"], "speed_km_h": 3.6 * truth["speed_m_s"]}
    wrong = truth["vehicle_id"] == truth["vehicle_id"][truth["visible"] == 1][0]
    estimated["class"] = np.array([kind_of(name) for name in truth["class"]], object)
    estimated["class"][wrong] = "tram"
    expected = 100 * (1 - np.mean(wrong[truth["visible"] == 1]))
    assert compare(estimated, truth).class_right == pytest.approx(expected)
    assert 50 < expected < 100


def test_evaluate_prints_one_json_line_per_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, truth = sightings(NETWORK, seed=7, seconds=4, rate_hz=5)
    moved = {
        **truth,
        "track_id": truth["vehicle_id"],
        "speed_km_h": 3.6 * truth["speed_m_s"],
        "x_m": truth["x_m"] + 0.1,
    }
    write_table(tmp_path / "trajectories.csv", moved)
    write_table(tmp_path / "truth.csv", truth)
    words = ["--trajectories", str(tmp_path / "trajectories.csv"), "--truth", str(tmp_path / "truth.csv")]
    assert main(["evaluate", *words]) == 0
    lines = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert lines["position_error_median_m"] == {
        "name": "position_error_median_m", "value": 0.1, "unit": "m", "goal": "<= 0.05", "holds": False,
    }  # fmt: skip
    assert lines["mota"]["holds"] is True
