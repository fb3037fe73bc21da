"""Lanes from trajectories: vehicles that drive one behind the other, in one direction, share a lane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats
from tracker.geometry import angle_between

STEP_M = 1.0
SAME_WAY_RAD = np.radians(30)
SAME_PATH_SHARE = 0.75
SMOOTHING_M = 9


@dataclass(frozen=True, eq=False)
class Course:
    """Where one vehicle drove: n x 2 points about STEP_M apart, and the direction at each."""

    track_id: int
    points_m: Floats
    headings_rad: Floats

    @property
    def length_m(self) -> float:
        """How far it drove."""
        return float(np.hypot(*np.diff(self.points_m, axis=0).T).sum())


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane: its middle (n x 2), the direction at each point, and who drove on it."""

    lane_id: str
    middle_m: Floats
    headings_rad: Floats
    track_ids: tuple[int, ...]

    @property
    def length_m(self) -> float:
        """Along its middle."""
        return float(np.hypot(*np.diff(self.middle_m, axis=0).T).sum())


def course(track_id: int, places: Floats) -> Course:
    """The course of a vehicle from its places on successive frames, n x 2. Standing adds nothing to it."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    wanted = np.arange(0.0, along[-1], STEP_M)
    points = np.column_stack([np.interp(wanted, along, places[:, axis]) for axis in (0, 1)])
    if len(points) < 2:  # noqa: PLR2004  a direction needs two points
        return Course(track_id, points[:0], np.zeros(0))
    steps = np.gradient(points, axis=0)
    return Course(track_id, points, np.arctan2(steps[:, 1], steps[:, 0]))


def place_on(middle: Floats, headings: Floats, points: Floats, ways: Floats) -> tuple[Floats, Floats]:
    """The nearest point of a lane's middle for each point, and how far left of it; NaN if driven another way."""
    offsets = points[:, None] - middle[None]
    nearest = np.hypot(offsets[..., 0], offsets[..., 1]).argmin(axis=1)
    offset, heading = offsets[np.arange(len(points)), nearest], headings[nearest]
    left = offset[:, 1] * np.cos(heading) - offset[:, 0] * np.sin(heading)
    behind = offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
    same = (np.abs(angle_between(ways, heading)) < SAME_WAY_RAD) & (np.abs(behind) <= STEP_M)
    return nearest.astype(np.float64), np.where(same, left, np.nan)


def find_lanes(courses: list[Course], *, half_width_m: float, min_vehicles: int, min_length_m: float) -> list[Lane]:
    """Lanes that at least `min_vehicles` drove on: the longest course, moved to the middle of all that follow it."""
    groups: list[list[Course]] = []
    for candidate in sorted(courses, key=lambda course: -course.length_m):
        if candidate.length_m < min_length_m:
            break
        shares = [_share_on(candidate, group[0], half_width_m) for group in groups]
        best = int(np.argmax(shares)) if shares else -1
        if shares and shares[best] >= SAME_PATH_SHARE:
            groups[best].append(candidate)
        else:
            groups.append([candidate])
    shared = [group for group in groups if len(group) >= min_vehicles]
    return [_lane(f"L{number}", group) for number, group in enumerate(shared, 1)]


def _share_on(candidate: Course, other: Course, half_width_m: float) -> float:
    _, left = place_on(other.points_m, other.headings_rad, candidate.points_m, candidate.headings_rad)
    return float((np.abs(np.nan_to_num(left, nan=np.inf)) < half_width_m).mean())


def _lane(lane_id: str, group: list[Course]) -> Lane:
    base = group[0]
    sums, counts = np.zeros(len(base.points_m)), np.ones(len(base.points_m))
    for follower in group[1:]:
        nearest, left = place_on(base.points_m, base.headings_rad, follower.points_m, follower.headings_rad)
        known = np.isfinite(left)
        np.add.at(sums, nearest[known].astype(int), left[known])
        np.add.at(counts, nearest[known].astype(int), 1)
    window = np.ones(min(SMOOTHING_M, len(sums)))
    middle_offset = np.convolve(sums, window, "same") / np.convolve(counts, window, "same")
    sideways = np.column_stack([-np.sin(base.headings_rad), np.cos(base.headings_rad)])
    middle = base.points_m + sideways * middle_offset[:, None]
    steps = np.gradient(middle, axis=0)
    return Lane(lane_id, middle, np.arctan2(steps[:, 1], steps[:, 0]), tuple(course.track_id for course in group))


def assign(lanes: list[Lane], points: Floats, ways: Floats, half_width_m: float) -> list[str]:
    """The lane of each place and direction; empty where there is none."""
    best = np.full(len(points), half_width_m)
    names = np.full(len(points), "", dtype=object)
    for lane in lanes:
        _, left = place_on(lane.middle_m, lane.headings_rad, points, ways)
        nearer = np.abs(np.nan_to_num(left, nan=np.inf)) < best
        best[nearer] = np.abs(left[nearer])
        names[nearer] = lane.lane_id
    return [str(name) for name in names]
