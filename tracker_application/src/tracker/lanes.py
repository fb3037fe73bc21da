"""Lanes from trajectories: a lane is where several vehicles drove the same way.

A lane is a stretch of one vehicle's course that others followed, moved to their common centre line. The remaining
courses yield further lanes: branches and turns. A vehicle's lanes are assigned along its whole course at once
(Viterbi), so that the assignment does not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Flags, Floats, runs
from tracker.geometry import angle_between
from tracker.neighbours import nearest

STEP_M = 1.0
SAME_WAY_RAD = np.radians(35)
SMOOTHING_M = 9
# Shares of a lane's width: vehicles this close follow one another, and no other lane is this close to a lane's centre
# line.
FOLLOWS, COVERED = 0.35, 0.55
# More courses than this add nothing to the lanes.
MOST_COURSES = 400
# In units of (distance from the centre line / width)^2 per metre: being on no lane, and one lane change.
NO_LANE_COST, CHANGE_COST = 0.36, 2.0
# A queue is too short for its own lane. It extends its lane by this much at a time, where vehicles continued in its
# direction, or stand there as close to one another as vehicles queue: their centres are a length and a gap apart.
PROLONGED_AT_ONCE_M, ANY_GAP_M, STRAIGHT_ON_RAD = 10.0, 8.0, np.radians(15)
# Lanes further apart than this multiple of the usual width are not adjacent.
BESIDE = 1.6
# Fewest vehicles of a lane that is so sure.
CERTAINTIES = {"high": 5, "fair": 3, "low": 0}


@dataclass(frozen=True, eq=False)
class Course:
    """The path of a vehicle: n x 2 points about STEP_M apart, and the direction at each."""

    track_id: int
    points_m: Floats
    headings_rad: Floats

    @property
    def length_m(self) -> float:
        """Distance driven."""
        return length(self.points_m)


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane: its centre line (n x 2), the direction at each point, its width, and the vehicles that used it."""

    lane_id: str
    middle_m: Floats
    headings_rad: Floats
    track_ids: tuple[int, ...]
    width_m: float = 3.2

    @property
    def length_m(self) -> float:
        """Along its centre line."""
        return length(self.middle_m)


def certainty(vehicles: int) -> str:
    """How sure a lane is that was found from this many vehicles: one may have changed lanes, or parked."""
    return next(name for name, fewest in CERTAINTIES.items() if vehicles >= fewest)


def length(points: Floats) -> float:
    """Length of a line of n x 2 points."""
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def along(places: Floats) -> Floats:
    """Distance of each point of a line from its beginning."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])


def course(track_id: int, places: Floats) -> Course:
    """The course of a vehicle from its positions in successive frames, n x 2. Stops do not add to it."""
    way = along(places)
    wanted = np.arange(0.0, way[-1], STEP_M)
    points = np.column_stack([np.interp(wanted, way, places[:, axis]) for axis in (0, 1)])
    if len(points) < 2:  # noqa: PLR2004  a direction needs two points
        return Course(track_id, points[:0], np.zeros(0))
    return Course(track_id, points, directions(points))


def directions(points: Floats) -> Floats:
    """Direction at each point of a line, radians."""
    steps = np.gradient(points, axis=0)
    headings: Floats = np.arctan2(steps[:, 1], steps[:, 0])
    return headings


def place_on(middle: Floats, headings: Floats, points: Floats, ways: Floats) -> tuple[Floats, Floats]:
    """For each point, the nearest point of a centre line and the offset to the left; NaN if driven another way."""
    near = nearest(middle, points)
    offset, heading = points - middle[near], headings[near]
    left = offset[:, 1] * np.cos(heading) - offset[:, 0] * np.sin(heading)
    behind = offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
    spacing = max(STEP_M, float(np.hypot(*np.diff(middle, axis=0).T).max()))
    same = (np.abs(angle_between(ways, heading)) < SAME_WAY_RAD) & (np.abs(behind) <= spacing)
    return near.astype(np.float64), np.where(same, left, np.nan)


def find_lanes(
    courses: list[Course], *, width_m: float, min_vehicles: int, min_length_m: float, standing: Floats | None = None
) -> list[Lane]:
    """Lanes of at least `min_length_m` used by at least `min_vehicles`, the busiest first.

    `standing` are the vehicles that never moved: position and the direction of their long axis, n x 3.
    """
    usable = [one for one in courses if one.length_m >= min_length_m]
    if len(usable) > MOST_COURSES:
        usable = [usable[index] for index in np.linspace(0, len(usable) - 1, MOST_COURSES).round().astype(int)]
    counts = [_followers(one, usable, FOLLOWS * width_m) for one in usable]
    free = [count >= min_vehicles for count in counts]
    lanes: list[Lane] = []
    while True:
        stretch = _busiest(usable, counts, free, min_length_m)
        if stretch is None:
            break
        index, part = stretch
        base = Course(usable[index].track_id, usable[index].points_m[part], usable[index].headings_rad[part])
        lane = _middle_of(base, usable, width_m)
        lanes.append(lane)
        free[index][part] = False
        free = [here & ~_near(lane, one, COVERED * width_m) for here, one in zip(free, usable, strict=True)]
    lanes = _prolonged(lanes, courses, np.zeros((0, 3)) if standing is None else standing, width_m)
    lanes = _joined(lanes, COVERED * width_m)
    on = [tuple(one.track_id for one in courses if _drove(lane, one, width_m, min_length_m)) for lane in lanes]
    order = sorted(range(len(lanes)), key=lambda index: (-len(on[index]), -lanes[index].length_m))
    named = [replace(lanes[index], lane_id=f"L{at}", track_ids=on[index]) for at, index in enumerate(order, 1)]
    return [replace(lane, width_m=_width(lane, named, width_m)) for lane in named]


def _followers(one: Course, courses: list[Course], near_m: float) -> NDArray[np.int64]:
    """How many vehicles, itself included, drove the same way at each point of a course."""
    counts = np.zeros(len(one.points_m), np.int64)
    for other in courses:
        _, left = place_on(other.points_m, other.headings_rad, one.points_m, one.headings_rad)
        counts += np.abs(np.nan_to_num(left, nan=np.inf)) < near_m
    return counts


def _busiest(
    courses: list[Course], counts: list[NDArray[np.int64]], free: list[Flags], min_length_m: float
) -> tuple[int, slice] | None:
    """The busiest stretch that is on no lane yet: index of the course, and the slice of it."""
    best, found = 0, None
    for index, (open_here, count) in enumerate(zip(free, counts, strict=True)):
        for first, last in runs(open_here):
            if length(courses[index].points_m[first:last]) < min_length_m:
                continue
            driven = int(count[first:last].sum())
            if driven > best:
                best, found = driven, (index, slice(int(first), int(last)))
    return found


def _middle_of(base: Course, courses: list[Course], width_m: float) -> Lane:
    """Move the base to the centre of all that follow it; twice, because it may itself be off-centre."""
    lane = Lane("", base.points_m, base.headings_rad, (), width_m)
    for _ in range(2):
        sums, counts = np.zeros(len(lane.middle_m)), np.zeros(len(lane.middle_m))
        for follower in courses:
            nearest, left = place_on(lane.middle_m, lane.headings_rad, follower.points_m, follower.headings_rad)
            known = np.abs(np.nan_to_num(left, nan=np.inf)) < width_m / 2
            np.add.at(sums, nearest[known].astype(int), left[known])
            np.add.at(counts, nearest[known].astype(int), 1)
        window = np.ones(min(SMOOTHING_M, len(sums)))
        offset = np.convolve(sums, window, "same") / np.maximum(np.convolve(counts, window, "same"), 1)
        sideways = np.column_stack([-np.sin(lane.headings_rad), np.cos(lane.headings_rad)])
        middle = lane.middle_m + sideways * offset[:, None]
        lane = replace(lane, middle_m=middle, headings_rad=directions(middle))
    return lane


def _prolonged(lanes: list[Lane], courses: list[Course], standing: Floats, width_m: float) -> list[Lane]:
    """Extend lanes as far as vehicles continued straight from their ends, or came straight to their beginnings.

    Front and rear of what stands may be confused.
    """
    both = np.concatenate([standing, standing + [0, 0, np.pi]])
    places = np.concatenate([*(one.points_m for one in courses), both[:, :2]]).reshape(-1, 2)
    ways = np.concatenate([*(one.headings_rad for one in courses), both[:, 2]])
    for lane in lanes:
        taken = _on(lane, places, ways)
        places, ways = places[~taken], ways[~taken]
    extended = []
    for lane in lanes:
        points = lane.middle_m
        for turned in (0.0, np.pi):
            points = _drawn_out(points[::-1] if turned else points, places, ways + turned, COVERED * width_m)
            points = points[::-1] if turned else points
        extended.append(replace(lane, middle_m=points, headings_rad=directions(points)))
    return extended


def _on(lane: Lane, places: Floats, ways: Floats) -> Flags:
    """Which positions lie on the lane."""
    _, left = place_on(lane.middle_m, lane.headings_rad, places, ways)
    on: Flags = np.abs(np.nan_to_num(left, nan=np.inf)) < COVERED * lane.width_m
    return on


def _drawn_out(points: Floats, places: Floats, ways: Floats, near_m: float) -> Floats:
    """A line extended at its end by positions in its direction, each within ANY_GAP_M of the previous one."""
    while True:
        end, before = points[-1], points[-min(len(points), SMOOTHING_M)]
        heading = float(np.arctan2(*(end - before)[::-1]))
        ahead = (places - end) @ [np.cos(heading), np.sin(heading)]
        left = (places - end) @ [-np.sin(heading), np.cos(heading)]
        fits = (ahead > 0) & (ahead < PROLONGED_AT_ONCE_M) & (np.abs(left) < near_m)
        fits &= np.abs(angle_between(ways, heading)) < STRAIGHT_ON_RAD
        reached = np.sort(np.concatenate([[0.0], ahead[fits]]))
        gaps = np.flatnonzero(np.diff(reached) > ANY_GAP_M)
        far_m = float(reached[gaps[0]] if len(gaps) else reached[-1])
        if far_m < STEP_M:
            return points
        fits &= ahead <= far_m
        # A straight line from the end through their middle.
        slope = float((ahead[fits] * left[fits]).sum() / (ahead[fits] ** 2).sum())
        way = heading + np.arctan(slope)
        steps = np.arange(STEP_M, far_m + 1e-9, STEP_M)
        points = np.vstack([points, end + steps[:, None] * [np.cos(way), np.sin(way)]])


def _joined(lanes: list[Lane], near_m: float) -> list[Lane]:
    """Lanes where one begins straight ahead of another's end, no further than vehicles queue, or before it, are one."""
    lanes = list(lanes)
    while True:
        pairs = [
            (gap_m, before, after)
            for before, one in enumerate(lanes)
            for after, other in enumerate(lanes)
            if one is not other and (gap_m := _gap(one, other, near_m)) <= ANY_GAP_M
        ]
        if not pairs:
            return lanes
        _, before, after = min(pairs)
        one, other = lanes[before], lanes[after]
        # Of an overlap, the part of the following lane stays.
        way = one.headings_rad[-1]
        ahead = (one.middle_m - other.middle_m[0]) @ [np.cos(way), np.sin(way)]
        before_it = (np.flatnonzero(ahead < 0) + 1).max(initial=0)
        points = np.vstack([one.middle_m[:before_it], other.middle_m])
        evenly = np.arange(0.0, length(points), STEP_M)
        middle = np.column_stack([np.interp(evenly, along(points), points[:, axis]) for axis in (0, 1)])
        lanes[before] = replace(one, middle_m=middle, headings_rad=directions(middle))
        del lanes[after]


def _gap(one: Lane, other: Lane, near_m: float) -> float:
    """How far ahead of the end of a lane another one continues it; 0 if they overlap, infinite if it does not."""
    end, begin = one.middle_m[-1], other.middle_m[0]
    way = one.headings_rad[-1]
    ahead, aside = _seen_from(end, way, begin)
    if abs(aside) >= near_m or abs(float(angle_between(other.headings_rad[0], way))) >= STRAIGHT_ON_RAD:
        return np.inf
    if ahead >= 0:
        return ahead
    overlaps = [
        place_on(lane.middle_m, lane.headings_rad, place[None], np.array([heading]))[1]
        for lane, place, heading in ((one, begin, other.headings_rad[0]), (other, end, way))
    ]
    return 0.0 if bool((np.abs(overlaps) < near_m).all()) else np.inf


def _seen_from(place: Floats, way: float, other: Floats) -> tuple[float, float]:
    """How far ahead of a place, in its direction, and to its left."""
    off = other - place
    return float(off @ [np.cos(way), np.sin(way)]), float(off @ [-np.sin(way), np.cos(way)])


def _near(lane: Lane, one: Course, near_m: float) -> Flags:
    _, left = place_on(lane.middle_m, lane.headings_rad, one.points_m, one.headings_rad)
    near: Flags = np.abs(np.nan_to_num(left, nan=np.inf)) < near_m
    return near


def _drove(lane: Lane, one: Course, width_m: float, min_length_m: float) -> bool:
    return len(one.points_m) > 0 and float(_near(lane, one, width_m / 2).sum()) * STEP_M >= min_length_m / 2


def _width(lane: Lane, lanes: list[Lane], usual_m: float) -> float:
    """Median distance to the adjacent lane, or the usual width if there is none."""
    apart = []
    for other in lanes:
        if other is not lane:
            _, left = place_on(other.middle_m, other.headings_rad, lane.middle_m, lane.headings_rad)
            _, right = place_on(other.middle_m, other.headings_rad, lane.middle_m, lane.headings_rad + np.pi)
            both = np.abs(np.concatenate([left, right]))
            apart.append(both[np.isfinite(both) & (both < BESIDE * usual_m) & (both > usual_m / 2)])
    beside = np.concatenate([*apart, np.zeros(0)])
    return float(np.median(beside)) if len(beside) > SMOOTHING_M else usual_m


def assign(lanes: list[Lane], places: Floats, ways: Floats) -> list[str]:
    """The lane of each position (n x 2, radians) of one vehicle in driving order; empty if none.

    Minimises the total cost: per metre, the squared distance from the centre line in lane widths or the cost of being
    on no lane, plus the lane changes.
    """
    if not lanes or not len(places):
        return [""] * len(places)
    way = along(places)
    station = np.floor(way / STEP_M).astype(int)
    _, first, of = np.unique(station, return_index=True, return_inverse=True)
    costs = np.full((len(first), len(lanes) + 1), np.inf)
    costs[:, -1] = NO_LANE_COST
    for column, lane in enumerate(lanes):
        _, left = place_on(lane.middle_m, lane.headings_rad, places[first], ways[first])
        off = (left / lane.width_m) ** 2
        costs[:, column] = np.where(np.isfinite(off) & (off < 1), off, np.inf)
    taken = _cheapest(costs)
    names = [*(lane.lane_id for lane in lanes), ""]
    return [names[taken[index]] for index in of.ravel()]


def _cheapest(costs: Floats) -> NDArray[np.int64]:
    """The column of each row with the lowest total cost including changes (Viterbi)."""
    count, columns = costs.shape
    total = costs[0].copy()
    came = np.zeros((count, columns), np.int64)
    for row in range(1, count):
        # Entering or leaving a lane costs half a change, so changing from lane to lane costs one.
        cheapest = int(total.argmin())
        stay, change = total, total[cheapest] + CHANGE_COST
        moved = change < stay
        came[row] = np.where(moved, cheapest, np.arange(columns))
        total = np.where(moved, change, stay) + costs[row]
    taken = np.zeros(count, np.int64)
    taken[-1] = int(total.argmin())
    for row in range(count - 1, 0, -1):
        taken[row - 1] = came[row, taken[row]]
    return taken
