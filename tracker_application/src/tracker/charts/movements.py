"""Turning counts: from where to where, by direction and by lane."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np

from tracker.charts.style import STYLE, Chart, empty, new_figure
from tracker.lanes import course
from tracker.tables import Table, groups

# By heading, from x counter-clockwise, in quarters of a turn.
SIDES = ("east", "north", "west", "south")
QUARTER_DEG = 90
OTHER = "none"
# Over so many metres a direction is measured; what drives less, parked or waiting all the time, goes nowhere.
END_M = 5


def turning_counts(tracks: Table) -> Chart:
    """Vehicles by the side they came from and the side they left to, as far as they were seen."""
    ways = []
    for track in groups(tracks, "track_id").values():
        ends = _ends(track)
        if ends is None:
            continue
        first_deg, last_deg = ends
        ways.append((SIDES[(_side(first_deg) + 2) % 4], SIDES[_side(last_deg)]))
    caption = (
        "Sides are those of the reference points' axes: east is where x grows, north is where y grows. A vehicle that "
        "was seen on a part of its way only is counted by that part, and one that hardly drove not at all."
    )
    return _matrix("turning_counts", "Turning counts", ways, SIDES, ("from_side", "to_side"), caption)


def lane_counts(tracks: Table) -> Chart:
    """Vehicles by the first and the last lane they were on."""
    ways = []
    for track in groups(tracks, "track_id").values():
        lanes = [lane for lane in track["lane_id"] if lane]
        ways.append((lanes[0], lanes[-1]) if lanes else (OTHER, OTHER))
    named = sorted({lane for way in ways for lane in way}, key=lambda lane: (lane == OTHER, len(lane), lane))
    caption = "The first and the last lane of each vehicle. On the diagonal it stayed; 'none' was on no lane."
    return _matrix("lane_counts", "From lane to lane", ways, named, ("from_lane", "to_lane"), caption)


def _ends(track: Table) -> tuple[float, float] | None:
    """The directions of the first and of the last metres that were driven; None where it drove less.

    Of the way, not of the box: that of a vehicle that stands or is half out of view may point anywhere.
    """
    driven = course(0, np.column_stack([track["x_m"], track["y_m"]])).points_m
    if len(driven) <= END_M:
        return None
    steps = driven[END_M] - driven[0], driven[-1] - driven[-1 - END_M]
    first, last = (float(np.degrees(np.arctan2(step[1], step[0]))) for step in steps)
    return first, last


def _side(heading_deg: float) -> int:
    return int(np.floor((heading_deg + QUARTER_DEG / 2) / QUARTER_DEG)) % 4


def _matrix(  # noqa: PLR0913, PLR0917  what a matrix is made of
    name: str, title: str, ways: Sequence[tuple[str, str]], ends: Sequence[str], columns: tuple[str, str], caption: str
) -> Chart:  # fmt: skip
    if not ways:
        return empty(name, title, "no vehicle drove", (*columns, "vehicles"), "Movements")
    counts = np.array([[ways.count((begin, end)) for end in ends] for begin in ends])
    size = max(3.4, 1.6 + 0.42 * len(ends))
    figure = new_figure(size + 1.6, size)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        axes.imshow(counts, cmap="Blues", vmin=0, vmax=max(1, counts.max()) * 1.2)
        for row, column in np.argwhere(counts > 0):
            dark = counts[row, column] > 0.6 * counts.max()
            axes.text(column, row, counts[row, column], ha="center", va="center", color="white" if dark else "#1d2329")
        axes.set_xticks(range(len(ends)), ends)
        axes.set_yticks(range(len(ends)), ends)
        what = columns[0].split("_")[1]
        axes.set(xlabel=f"to {what}", ylabel=f"from {what}", title=f"{title} (vehicles)")
        axes.grid(visible=False)
    found = [(begin, end, int(counts[r, c])) for r, begin in enumerate(ends) for c, end in enumerate(ends)]
    table = {
        column: np.array([row[index] for row in found if row[2]], dtype=object)
        for index, column in enumerate((*columns, "vehicles"))
    }
    return Chart(name, title, caption, figure, table, "Movements")
