"""Charts of known traffic, and of none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracker.charts.flow import flow_and_density, traffic_over_time
from tracker.charts.lanes import no_lanes, space_time
from tracker.charts.maps import slow_and_fast_places, speed_map
from tracker.charts.movements import lane_counts, turning_counts
from tracker.charts.quality import quality
from tracker.charts.safety import headways, times_to_collision
from tracker.charts.speeds import acceleration_distribution, speed_distribution
from tracker.charts.style import Chart
from tracker.tables import Table

LANE = np.column_stack([np.arange(0.0, 201.0), np.zeros(201)])
BACKGROUND = np.full((100, 400, 3), 120, np.uint8)
TO_PIXELS = np.array([[2.0, 0, 0], [0, -2.0, 50], [0, 0, 1]])


def _two(first_m_s: float, second_m_s: float, behind_m: float) -> Table:
    """Two vehicles of 4 m on an eastbound lane for ten seconds, the second `behind_m` behind the first."""
    times = np.arange(0, 10, 0.1)
    count = len(times)
    tracks: Table = {
        "track_id": np.repeat([1, 2], count),
        "frame": np.tile(np.arange(count), 2),
        "time_s": np.tile(times, 2),
        "x_m": np.concatenate([60 + first_m_s * times, 60 - behind_m + second_m_s * times]),
        "speed_m_s": np.repeat([first_m_s, second_m_s], count),
        "lane_id": np.full(2 * count, "L1", dtype=object),
        "length_m": np.full(2 * count, 4.0),
    }
    return tracks | {name: np.zeros(2 * count) for name in ("y_m", "heading_deg", "acceleration_m_s2")}


def test_headway_is_distance_divided_by_speed() -> None:
    table = headways(_two(10, 10, 30), {"L1": LANE}).table
    assert table["headway_s"].astype(float) == pytest.approx([3.0])
    assert (table["ahead_track_id"][0], table["track_id"][0]) == (1, 2)


def test_time_to_collision_is_gap_divided_by_closing_speed() -> None:
    table = times_to_collision(_two(5, 7, 30), {"L1": LANE}).table
    # After 9.9 s the gap from bumper to bumper is 30 - 4 - 2 * 9.9 m.
    assert table["time_to_collision_s"].astype(float) == pytest.approx([(26 - 19.8) / 2])
    assert len(times_to_collision(_two(7, 5, 30), {"L1": LANE}).table["lane_id"]) == 0


def test_flow_is_density_times_speed() -> None:
    table = flow_and_density(_two(10, 10, 30), {"L1": LANE}).table
    assert table["mean_speed_km_h"].astype(float) == pytest.approx(36.0)
    # Two vehicles on 200 m.
    assert table["density_vehicles_per_km"][0] == pytest.approx(10, rel=0.03)


def test_an_eastbound_vehicle_comes_from_the_west() -> None:
    table = turning_counts(_two(10, 10, 30)).table
    assert [tuple(row) for row in zip(*table.values(), strict=True)] == [("west", "east", 2)]


def test_the_heading_of_a_stopped_vehicle_does_not_affect_counts() -> None:
    tracks = _two(10, 10, 30)
    tracks["heading_deg"][[0, 99, 100, 199]] = 90
    assert turning_counts(tracks).table["vehicles"].tolist() == [2]


def test_every_chart_handles_an_empty_table(tmp_path: Path) -> None:
    nobody = {name: values[:0] for name, values in _two(1, 1, 10).items()}
    charts: list[Chart] = [
        speed_map(nobody, BACKGROUND, TO_PIXELS), slow_and_fast_places(nobody, BACKGROUND, TO_PIXELS),
        speed_distribution(nobody), acceleration_distribution(nobody), traffic_over_time(nobody, 100.0),
        flow_and_density(nobody, {}), turning_counts(nobody), lane_counts(nobody), space_time(nobody, "L1", LANE),
        headways(nobody, {"L1": LANE}), times_to_collision(nobody, {"L1": LANE}), no_lanes(),
    ]  # fmt: skip
    for chart in charts:
        chart.write(tmp_path)
        assert chart.caption.startswith("Nothing to show: ")
        assert (tmp_path / f"{chart.name}.png").stat().st_size > 1000
        assert len((tmp_path / f"{chart.name}.csv").read_text().splitlines()) == 1


def test_parked_vehicles_have_no_movement() -> None:
    drives = np.arange(0.0, 20.0, 0.5)
    parked = np.full(40, 7.0) + np.random.default_rng(2).normal(0, 0.02, 40)
    tracks = {
        "track_id": np.repeat([1, 2], 40),
        "x_m": np.concatenate([drives, parked]),
        "y_m": np.zeros(80),
        "heading_deg": np.zeros(80),
    }
    table = turning_counts(tracks).table
    counted = {(begin, end): count for begin, end, count in zip(*table.values(), strict=True) if count}
    assert counted == {("west", "east"): 1}


def test_boxes_are_counted_in_the_frames_in_which_vehicles_were_searched_for() -> None:
    frames = np.arange(7)
    homographies: Table = {"frame": frames, "time_s": frames / 10, "registered": np.ones(7)}
    homographies |= {"inliers": np.full(7, 50), "residual_px": np.full(7, 0.1)}
    # Every second frame is searched; in frame 4, only a vehicle that the border cuts is found.
    detections: Table = {"frame": np.array([0, 0, 2, 4, 6, 6]), "whole": np.array([1, 0, 1, 0, 1, 1])}
    table = quality(homographies, detections).table
    nothing = np.nan
    np.testing.assert_equal(table["boxes_whole"], [1, nothing, 1, nothing, 0, nothing, 2])
    np.testing.assert_equal(table["boxes_cut"], [1, nothing, 0, nothing, 1, nothing, 0])
