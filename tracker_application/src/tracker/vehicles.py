"""Properties of vehicles derived from tracks: size, what they are seen as, and whether they are vehicles at all."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.association import Track
from tracker.motion import Motions, Sightings
from tracker.neighbours import pairs_within
from tracker.road import SURE, SURE_FAR, SURE_OF_ROAD, SURE_TWO_WHEELER, Road, along
from tracker.tables import Table

# The network's position where motion saw the vehicle, too. User-provided and older boxes lack these columns.
NETWORK_PLACE = ("network_x_m", "network_y_m")
# By outline in metres: shorter than the first is a two-wheeler, longer than the second a truck or bus.
TWO_WHEELER_M, LARGE_M = 2.8, 6.8
# A network that takes something longer for a two-wheeler is wrong: the length decides then.
LONGEST_TWO_WHEELER_M = 3.3
# Two tracks are one vehicle if the centre of one is this far inside the other for this share of its time.
INSIDE_M, MOSTLY = 0.3, 0.4
FURTHEST_M = 7.0
# With fewer moving vehicles, it is not known where the road is.
FEWEST_MOVING = 3
# What is never seen more clearly than this is a vehicle only on the road.
CLEAR = 0.5
# Width of the narrowest cars, less the error of a box.
NARROWEST_CAR_M = 1.2
# Boxes always cut lengthways by the border, and never wider than this.
SLIVER_M = 0.6


def searched(boxes: Table, film: Table) -> tuple[Flags, Floats]:
    """The frames of the film in which vehicles were searched for, and their times.

    Where no box was found for long, as many frames are taken to have been searched as elsewhere. `film` has a row, with
    `frame` and `time_s`, for each frame.
    """
    frames = np.unique(boxes["frame"])
    step = int(np.median(np.diff(frames))) if len(frames) > 1 else 1
    more = [np.arange(frame + step, end, step) for frame, end in pairwise(frames)]
    whole = np.unique(np.concatenate([frames, *more]))
    at = np.searchsorted(film["frame"], whole)
    return whole, film["time_s"][at]


def sightings_of(boxes: Table, tracks: list[Track], frames: Flags, times_s: Floats) -> tuple[Sightings, Flags]:
    """The boxes of each track on each of the searched `frames` from first to last; and the frame of each."""
    at = np.searchsorted(frames, boxes["frame"])
    moments, rows = [], []
    for track in tracks:
        first, last = at[track.rows[0]], at[track.rows[-1]]
        row = np.full(last - first + 1, -1)
        row[at[track.rows] - first] = track.rows
        moments.append(np.arange(first, last + 1))
        rows.append(row)
    lengths = np.array([len(row) for row in rows])
    moment, row = np.concatenate(moments), np.concatenate(rows)
    seen = row >= 0

    def column(*names: str) -> Floats:
        values = np.full((len(row), len(names)), np.nan)
        values[seen] = np.column_stack([boxes[name][row[seen]] for name in names])
        return values

    sizes = np.array([size(boxes, track) for track in tracks])
    sightings = Sightings(
        lengths,
        times_s[moment],
        column("x_m", "y_m"),
        np.radians(column("heading_deg")[:, 0]),
        column("length_m", "width_m"),
        column("position_std_m")[:, 0],
        seen,
        np.repeat(sizes, lengths, axis=0),
        np.concatenate([_cut(boxes["whole"], part) for part in rows]),
        column(*NETWORK_PLACE) if set(NETWORK_PLACE) <= boxes.keys() else np.full((len(row), 2), np.nan),
        seen & (boxes["source"][row] == "network"),
    )
    return sightings, moment


def _cut(whole: Flags, rows: Flags) -> Flags:
    """Which end the border cuts off: -1 the rear, before the vehicle was fully in view; 1 the front, afterwards."""
    wholly = np.flatnonzero((rows >= 0) & (whole[rows] == 1))
    if not len(wholly):
        return np.zeros(len(rows))
    order = np.arange(len(rows))
    side = np.where(order < wholly[0], -1, 0) + np.where(order > wholly[-1], 1, 0)
    return np.where(rows >= 0, side, 0)


def size(boxes: Table, track: Track) -> tuple[float, float]:
    """Length and width: score-weighted median of the boxes that show the vehicle whole and alone."""
    alone = shown_whole(boxes, track)
    rows = alone if len(alone) else np.array(track.rows)
    length, width = (_weighted_median(boxes[name][rows], boxes["score"][rows]) for name in ("length_m", "width_m"))
    return length, width


def shown_whole(boxes: Table, track: Track) -> Flags:
    """The boxes that show the vehicle whole and alone."""
    rows = np.array(track.rows)
    alone: Flags = rows[~np.array(track.shared) & (boxes["whole"][rows] == 1)]
    return alone


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def seen_as(boxes: Table, track: Track) -> tuple[str, float]:
    """The score-weighted majority class of the boxes, and its share; 0 if only the length determines it.

    Positions rest on it, as each class leans differently. What class a vehicle has in the end, `vehicle_class` says.
    """
    votes: Counter[str] = Counter()
    for row in track.rows:
        votes[boxes["class"][row]] += boxes["score"][row]
    total = sum(votes.values())
    del votes[""]
    if votes:
        name, score = votes.most_common(1)[0]
        if name != "two_wheeler" or size(boxes, track)[0] <= LONGEST_TWO_WHEELER_M:
            return name, score / total
    length_m, _ = size(boxes, track)
    if length_m < TWO_WHEELER_M:
        return "two_wheeler", 0.0
    return ("truck_bus" if length_m > LARGE_M else "car"), 0.0


def unlikely(  # noqa: PLR0913, PLR0917  what a judgement rests on
    boxes: Table, tracks: list[Track], sightings: Sightings, motions: Motions, min_travel_m: float, road_reach_m: float
) -> set[int]:  # fmt: skip
    """Tracks that are probably not vehicles.

    Tracks that never get far and have low network scores (shadows, trees, artefacts, furniture), or that are narrower
    than any car and not two-wheelers (kerbs, benches, roof edges). The further they are from where vehicles drive, up
    to `road_reach_m`, the higher a score they need. A moving vehicle may be only partly visible all the time, but
    slivers are rejected.
    """
    each = [motions.states[moments, :2] for moments in sightings.each()]
    travels = [float(np.hypot(*(places - places[0]).T).max()) for places in each]
    scores = [_mean_score(boxes, track, len(places)) for track, places in zip(tracks, each, strict=True)]
    moving = [places for places, travel in zip(each, travels, strict=True) if travel >= min_travel_m]
    road = None
    if len(moving) >= FEWEST_MOVING and road_reach_m > 0:
        standing = [
            along(motions.states[moments.start, :2], motions.headings[moments.start])
            for moments, travel, score in zip(sightings.each(), travels, scores, strict=True)
            if travel < min_travel_m and score >= SURE_OF_ROAD
        ]
        road = Road(np.concatenate(moving), np.concatenate([np.zeros((0, 2)), *standing]), road_reach_m)
    found = set()
    for number, (track, places, travel, score) in enumerate(zip(tracks, each, travels, scores, strict=True)):
        name, _ = seen_as(boxes, track)
        needed = _needed_anywhere(boxes, track, name) if road is None else road.needed(places.mean(axis=0), name)
        width_m = np.inf if name == "two_wheeler" else size(boxes, track)[1]
        doubtful = score < needed or width_m < NARROWEST_CAR_M
        if width_m < SLIVER_M or (travel < min_travel_m and doubtful):
            found.add(number)
    return found


def _mean_score(boxes: Table, track: Track, frames: int) -> float:
    """The network's mean score over all frames from first to last."""
    rows = track.rows
    return float(boxes["score"][rows][boxes["source"][rows] != "motion"].sum()) / frames


def _needed_anywhere(boxes: Table, track: Track, kind: str) -> float:
    """The score that what stands needs to be a vehicle if it is not known where the road is."""
    if boxes["score"][track.rows].max() < CLEAR:
        return SURE_FAR
    return SURE_TWO_WHEELER if kind == "two_wheeler" else SURE


def twins(sightings: Sightings, motions: Motions, moment: Flags) -> set[int]:
    """Tracks that show the same vehicle, or a part of it, as another track: the less seen one."""
    numbers = np.repeat(np.arange(len(sightings.lengths)), sightings.lengths)
    places = motions.states[:, :2]
    first, second = pairs_within(places, moment, FURTHEST_M)
    one = _inside(sightings, motions, first, second) | _inside(sightings, motions, second, first)
    seen = np.add.reduceat(sightings.seen.astype(np.int64), np.cumsum(sightings.lengths) - sightings.lengths)
    together = Counter(zip(numbers[first[one]].tolist(), numbers[second[one]].tolist(), strict=True))
    together = Counter({pair: together[pair] + together[pair[::-1]] for pair in together})
    dropped: set[int] = set()
    for pair, times in sorted(together.items(), key=lambda item: (-item[1], item[0])):
        less, more = sorted(pair, key=lambda number: (seen[number], number))
        if less not in dropped and more not in dropped and times >= MOSTLY * sightings.lengths[less]:
            dropped.add(less)
    return dropped


def _inside(sightings: Sightings, motions: Motions, outer: Flags, inner: Flags) -> Flags:
    """Whether the centres of some vehicles lie inside the outlines of others."""
    apart = motions.states[inner, :2] - motions.states[outer, :2]
    cos, sin = np.cos(motions.headings[outer]), np.sin(motions.headings[outer])
    off = np.abs(np.column_stack([apart[:, 0] * cos + apart[:, 1] * sin, apart[:, 1] * cos - apart[:, 0] * sin]))
    inside: Flags = (off < sightings.vehicle_sizes[outer] / 2 - INSIDE_M).all(axis=1)
    return inside
