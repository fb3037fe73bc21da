"""Vehicles that stand and are seen only faintly: looks of a network in, trajectories out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_boxes import boxes, camera

from tracker.contract import Report, StageFiles
from tracker.stages.track_vehicles import Parameters, run
from tracker.tables import Table, read_table, select, write_table

SECONDS = 12
# Three lanes of traffic, 4 m apart, that is over when the films end.
TRAFFIC = [(frame, -20.0 + 2.0 * (frame - start), y, 0.0) for y, start in ((0.0, 0), (4.0, 5), (8.0, 10))
           for frame in range(start, start + 30)]  # fmt: skip


def looked(x: float, y: float, scores: list[float], **columns: object) -> Table:
    """Looks at one place, two per second."""
    return boxes([(5 * look, x, y, 0.0) for look in range(len(scores))], score=scores, **columns)


def together(*tables: Table) -> Table:
    """One table in time order."""
    table = {name: np.concatenate([part[name] for part in tables]) for name in tables[0]}
    return select(table, np.argsort(table["frame"], kind="stable"))


def stand(tmp_path: Path, looks: Table, *more: Table) -> set[tuple[int, int]]:
    """Where the stage has vehicles that stand, in whole metres, besides the traffic."""
    write_table(tmp_path / "estimate_camera" / "camera.csv", camera(10 * SECONDS))
    write_table(tmp_path / "detect_vehicles" / "detections.parquet", together(boxes(TRAFFIC), *more))
    write_table(tmp_path / "detect_vehicles" / "looks.parquet", looks)
    output = tmp_path / "output"
    output.mkdir()
    run(StageFiles(tmp_path, output, tmp_path), Parameters(), Report())
    rows = read_table(output / "tracks.parquet")
    still = select(rows, rows["speed_m_s"] < 0.1)
    return set(zip(still["x_m"].round().astype(int).tolist(), still["y_m"].round().astype(int).tolist(), strict=True))


@pytest.fixture(autouse=True)
def directories(tmp_path: Path) -> None:
    for stage in ("estimate_camera", "detect_vehicles"):
        (tmp_path / stage).mkdir()


def test_what_is_seen_faintly_on_the_road_all_the_time_is_a_vehicle(tmp_path: Path) -> None:
    faint = [0.3, 0.45, 0.35, 0.4] * 6
    assert stand(tmp_path, looked(43.0, 8.0, faint)) == {(43, 8)}


def test_the_same_away_from_the_road_is_none(tmp_path: Path) -> None:
    faint = [0.3, 0.45, 0.35, 0.4] * 6
    assert stand(tmp_path, looked(30.0, 20.0, faint)) == set()


def test_what_others_drive_over_lies_on_the_ground(tmp_path: Path) -> None:
    faint = [0.3, 0.45, 0.35, 0.4] * 6
    assert stand(tmp_path, looked(10.0, 4.0, faint)) == set()


def test_what_is_seen_in_few_looks_is_no_vehicle(tmp_path: Path) -> None:
    assert stand(tmp_path, looked(45.0, 8.0, [0.4, 0.0, 0.0, 0.0] * 6)) == set()


def test_the_further_from_the_road_the_more_is_needed(tmp_path: Path) -> None:
    parked = [boxes([(frame, x, y, 0.0) for frame in range(120)], score=0.5) for x, y in ((0.0, 17.0), (20.0, 21.5))]
    assert stand(tmp_path, looked(45.0, 8.0, [0.0] * 6), *parked) == {(0, 17)}


def test_a_two_wheeler_behind_a_waiting_car_needs_less_than_one_beside_the_queue(tmp_path: Path) -> None:
    rider = {"length_m": 2.0, "width_m": 0.7, "class": "two_wheeler"}
    queue = [boxes([(frame, 30.0, y, 90.0) for frame in range(120)], score=0.8) for y in (30.0, 44.0)]
    behind, beside = (looked(x, 36.0, [0.3, 0.4] * 12, **rider) for x in (30.5, 34.0))
    assert stand(tmp_path, together(behind, beside), *queue) == {(30, 30), (30, 44), (30, 36)}
