"""Compares trajectories with ground truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats
from tracker.detectors.classes import kind_of
from tracker.geometry import corners
from tracker.neighbours import cheapest
from tracker.simulation.figures import Figures
from tracker.simulation.scores import Sight, clear, hota, idf1
from tracker.tables import Table, groups, read_table, select

SAME_VEHICLE_M = 1.5
# For HOTA, the similarity of two centres is zero from this distance.
UNLIKE_M = 2.0
MOVED_M = 8.0
SIDES = ("east", "north", "west", "south")


def evaluate(trajectories: Path, truth: Path) -> Figures:
    """Compare `trajectories.csv` with `truth.csv`, frame by frame."""
    estimated = read_table(trajectories, ("track_id", "frame", "x_m", "y_m", "speed_km_h", "heading_deg", "length_m"))
    return compare(estimated, read_table(truth, ("vehicle_id", "frame", "x_m", "y_m", "speed_m_s", "visible")))


def compare(estimated: Table, truth: Table) -> Figures:
    """Compare loaded tables. Lanes are compared if both have `lane_id`."""
    by_frame = groups(estimated, "frame")
    nothing = select(estimated, np.zeros(0, int))
    frames = [_of_interest(known, by_frame.get(frame, nothing)) for frame, known in groups(truth, "frame").items()]
    distances = [_distances(known, found) for known, found in frames]
    sights = [_sight(pair, np.clip(1 - apart / UNLIKE_M, 0, 1)) for pair, apart in zip(frames, distances, strict=True)]
    least = 1 - SAME_VEHICLE_M / UNLIKE_M
    tracked, scored = clear(sights, least), hota(sights)
    boxes = hota([_sight(pair, _overlaps(*pair, apart)) for pair, apart in zip(frames, distances, strict=True)])
    known, found = _matched(frames, tracked.pairs)
    places = np.hypot(found["x_m"] - known["x_m"], found["y_m"] - known["y_m"])
    speeds = np.abs(found["speed_km_h"] - 3.6 * known["speed_m_s"])
    visible = select(truth, truth["visible"] == 1)
    in_view, hits = (Counter(table["vehicle_id"].tolist()) for table in (visible, known))
    tracks = {number for _, found in frames for number in found["track_id"].tolist()}
    return Figures(
        vehicles=len(in_view),
        tracks=len(tracks),
        vehicles_found=sum(2 * hits[number] >= count for number, count in in_view.items()) / max(1, len(in_view)),
        recall=len(tracked.pairs) / max(1, tracked.true),
        precision=len(tracked.pairs) / max(1, len(tracked.pairs) + tracked.false),
        identity_switches=tracked.switches,
        hota=100 * scored.hota,
        hota_detection=100 * scored.detection,
        hota_association=100 * scored.association,
        hota_boxes=100 * boxes.hota,
        mota=100 * tracked.mota,
        idf1=100 * idf1(sights, least),
        position_error_median_m=_percentile(places, 50),
        position_error_p95_m=_percentile(places, 95),
        position_error_rmse_m=float(np.sqrt(np.mean(places**2))) if len(places) else np.nan,
        speed_error_median_km_h=_percentile(speeds, 50),
        speed_error_p95_km_h=_percentile(speeds, 95),
        class_right=100 * _class_right(known, found),
        lane_assignment=100 * _lane_assignment(known, found),
        movement_count_error=100 * _movement_count_error(visible, _all_of([pair[1] for pair in frames])),
    )  # fmt: skip


def _of_interest(known: Table, found: Table) -> tuple[Table, Table]:
    """The vehicles fully in view, and the trajectories without matches of other vehicles."""
    distances = _distances(known, found)
    rows, columns = cheapest(np.minimum(distances, 10 * SAME_VEHICLE_M))
    others = (distances[rows, columns] < SAME_VEHICLE_M) & (known["visible"][rows] != 1)
    counts = np.ones(len(found["track_id"]), bool)
    counts[columns[others]] = False
    return select(known, known["visible"] == 1), select(found, counts)


def _distances(known: Table, found: Table) -> Floats:
    apart: Floats = np.hypot(known["x_m"][:, None] - found["x_m"][None], known["y_m"][:, None] - found["y_m"][None])
    return apart


def _sight(pair: tuple[Table, Table], similarity: Floats) -> Sight:
    return Sight(pair[0]["vehicle_id"], pair[1]["track_id"], similarity)


def _overlaps(known: Table, found: Table, distances: Floats) -> Floats:
    """Intersection over union of each two oriented boxes."""
    true, estimated = _outlines(known), _outlines(found)
    overlaps = np.zeros(distances.shape)
    for row, column in np.argwhere(distances < np.maximum(known["length_m"][:, None], found["length_m"][None])):
        shared, _ = cv2.intersectConvexConvex(true[row], estimated[column])
        areas = cv2.contourArea(true[row]) + cv2.contourArea(estimated[column])
        overlaps[row, column] = shared / (areas - shared)
    return overlaps


def _outlines(table: Table) -> list[Floats]:
    columns = [table["x_m"], table["y_m"], np.radians(table["heading_deg"]), table["length_m"], table["width_m"]]
    return [corners(*box).astype(np.float32) for box in zip(*columns, strict=True)]


def _matched(frames: list[tuple[Table, Table]], pairs: tuple[tuple[int, int, int], ...]) -> tuple[Table, Table]:
    """The matched rows of both sides, stacked."""
    sides = []
    for side in (0, 1):
        rows: dict[int, list[int]] = {}
        for pair in pairs:
            rows.setdefault(pair[0], []).append(pair[1 + side])
        parts = [select(tables[side], np.array(rows.get(frame, []), int)) for frame, tables in enumerate(frames)]
        sides.append(_all_of(parts))
    return sides[0], sides[1]


def _all_of(tables: list[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _percentile(errors: Floats, percent: float) -> float:
    """Of the known ones: the speed of a vehicle that was labelled once is not."""
    known = errors[np.isfinite(errors)]
    return float(np.percentile(known, percent)) if len(known) else np.nan


def _class_right(known: Table, found: Table) -> float:
    if "class" not in known or "class" not in found or not len(known["class"]):
        return np.nan
    # The simulation knows more kinds: a van is a car.
    kinds = np.array([kind_of(str(name)) or name for name in known["class"]], object)
    return float(np.mean(kinds == found["class"]))


def _lane_assignment(known: Table, found: Table) -> float:
    """Trajectory lanes have their own names: on each leg of the junction, a name means its majority's true lane."""
    if "lane_id" not in known or "lane_id" not in found:
        return np.nan
    places = [(true, name) for true, name in zip(known["lane_id"], found["lane_id"], strict=True) if true]
    meant: dict[tuple[str, str], Counter[str]] = {}
    for true, name in places:
        meant.setdefault((_leg(true), name), Counter())[true] += 1
    right = sum(bool(name) and meant[_leg(true), name].most_common(1)[0][0] == true for true, name in places)
    return right / len(places) if places else np.nan


def _leg(lane: str) -> str:
    return lane.rpartition("_")[0]


def _movement_count_error(known: Table, found: Table) -> float:
    true, estimated = (_movements(*side) for side in ((known, "vehicle_id"), (found, "track_id")))
    off = sum(abs(true[way] - estimated[way]) for way in true.keys() | estimated.keys())
    return off / max(1, true.total())


def _movements(table: Table, column: str) -> Counter[tuple[str, str]]:
    """Counts from side to side, by the first and last direction in which vehicles were seen.

    Vehicles that drove less than MOVED_M (parked or waiting) have no movement.
    """
    ways: Counter[tuple[str, str]] = Counter()
    for track in groups(table, column).values():
        if np.hypot(track["x_m"] - track["x_m"][0], track["y_m"] - track["y_m"][0]).max() < MOVED_M:
            continue
        first, last = (int(np.floor((track["heading_deg"][end] + 45) / 90)) % 4 for end in (0, -1))
        ways[SIDES[(first + 2) % 4], SIDES[last]] += 1
    return ways
