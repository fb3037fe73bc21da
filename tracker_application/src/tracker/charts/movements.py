"""Turning counts, by direction and by lane."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np

from tracker.charts.style import STYLE, Chart, empty, new_figure
from tracker.lanes import course
from tracker.tables import Table, groups

# By heading, counter-clockwise from x, in quarter turns.
SIDES = ("east", "north", "west", "south")
QUARTER_DEG = 90
OTHER = "none"
# Distance over which a direction is measured; vehicles that drive less (parked or waiting) have no movement.
END_M = 5


def turning_counts(tracks: Table) -> Chart:
    """Vehicles by the side where they entered and the side where they left, as far as they were seen."""
    ways = []
    for track in groups(tracks, "track_id").values():
        ends = _ends(track)
        if ends is None:
            continue
        first_deg, last_deg = ends
        ways.append((SIDES[(_side(first_deg) + 2) % 4], SIDES[_side(last_deg)]))
    caption = (
        "Sides follow the axes of the reference points: x grows to the east, y to the north. Vehicles seen on a part "
        "of their way are counted by that part; vehicles that hardly moved are not counted."
    )
    return _matrix("turning_counts", "Turning counts", ways, SIDES, ("from_side", "to_side"), caption)


def lane_counts(tracks: Table) -> Chart:
    """Vehicles by their first and last lane."""
    ways = []
    for track in groups(tracks, "track_id").values():
        lanes = [lane for lane in track["lane_id"] if lane]
        ways.append((lanes[0], lanes[-1]) if lanes else (OTHER, OTHER))
    named = sorted({lane for way in ways for lane in way}, key=lambda lane: (lane == OTHER, len(lane), lane))
    caption = (
        "The first and the last lane of each vehicle. Vehicles on the diagonal did not change lanes; 'none' "
        "means no lane."
    )
    return _matrix("lane_counts", "Lane changes", ways, named, ("from_lane", "to_lane"), caption)


def _ends(track: Table) -> tuple[float, float] | None:
    """The first and last direction of travel; None for vehicles that drove too little.

    From the path, not from the boxes: the box of a stopped or partly visible vehicle may point anywhere.
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
        return empty(name, title, "no vehicle moved", (*columns, "vehicles"), "Movements")
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
