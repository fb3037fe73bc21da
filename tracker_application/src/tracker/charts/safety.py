"""Car following: headways, and times to collision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator

from tracker.arrays import Floats
from tracker.charts.style import BLUE, ORANGE, STYLE, Chart, empty, new_figure
from tracker.following import along_lane, following, lane_length
from tracker.tables import Table, groups

LONGEST_S = 10.0
CRITICAL_S = 1.5


def headways(tracks: Table, lanes: Mapping[str, Floats]) -> Chart:
    """Time between the fronts of successive vehicles at the middle of each lane."""
    columns = ("lane_id", "ahead_track_id", "track_id", "time_s", "headway_s")
    rows: list[tuple[object, ...]] = []
    for lane_id, middle in lanes.items():
        passed = sorted(_passages(tracks, lane_id, middle))
        rows += [
            (lane_id, ahead, number, time_s, time_s - before_s)
            for (before_s, ahead), (time_s, number) in pairwise(passed)
        ]
    caption = (
        "Time between the fronts of successive vehicles at the middle of their lane. "
        "Below 2 s is close following; the last bar includes all larger values."
    )
    return _histogram("headways", "Headways", rows, columns, "headway (s)", 2.0, caption, "pairs of vehicles")


def times_to_collision(tracks: Table, lanes: Mapping[str, Floats]) -> Chart:
    """The shortest time to collision of each vehicle with the one ahead on its lane, at constant speeds."""
    columns = ("lane_id", "ahead_track_id", "track_id", "time_s", "time_to_collision_s")
    near = following(tracks, lanes)
    shortest: dict[tuple[int, int], tuple[object, ...]] = {}
    for row in np.flatnonzero(np.isfinite(near["time_to_collision_s"])):
        pair = int(near["ahead_id"][row]), int(tracks["track_id"][row])
        value = float(near["time_to_collision_s"][row])
        if pair not in shortest or value < float(str(shortest[pair][-1])):
            shortest[pair] = (tracks["lane_id"][row], *pair, float(tracks["time_s"][row]), value)
    caption = (
        "For each vehicle that approached the one ahead on its lane, the shortest time to collision at constant "
        f"speeds. Values below {CRITICAL_S:g} s are commonly called conflicts; check the video before you conclude "
        "that."
    )
    rows = sorted(shortest.values(), key=lambda row: float(str(row[-1])))
    return _histogram(
        "time_to_collision", "Shortest time to collision", rows, columns, "time to collision (s)", CRITICAL_S, caption,
        "pairs of vehicles",
    )  # fmt: skip


def _passages(tracks: Table, lane_id: str, middle: Floats) -> list[tuple[float, int]]:
    """When each vehicle's front passed the middle of the lane, and the vehicle."""
    half = lane_length(middle) / 2
    rows = np.flatnonzero(tracks["lane_id"] == lane_id)
    mine = {name: tracks[name][rows] for name in ("track_id", "time_s", "x_m", "y_m", "length_m")}
    mine["front"] = along_lane(middle, np.column_stack([mine["x_m"], mine["y_m"]])) + mine["length_m"] / 2
    passed = []
    for number, track in groups(mine, "track_id").items():
        before = np.flatnonzero((track["front"][:-1] < half) & (track["front"][1:] >= half))
        if len(before):
            at = slice(before[0], before[0] + 2)
            passed.append((float(np.interp(half, track["front"][at], track["time_s"][at])), int(number)))
    return passed


def _histogram(  # noqa: PLR0913, PLR0917  what a histogram is made of
    name: str, title: str, rows: Sequence[tuple[object, ...]], columns: Sequence[str], label: str, critical_s: float,
    caption: str, counted: str,
) -> Chart:  # fmt: skip
    if not rows:
        return empty(name, title, "no vehicle followed another on a lane", columns, "Following")
    table = {column: np.array([row[index] for row in rows], dtype=object) for index, column in enumerate(columns)}
    values = np.minimum(table[columns[-1]].astype(np.float64), LONGEST_S - 1e-6)
    edges = np.arange(0, LONGEST_S + 0.25, 0.5)
    counts = np.histogram(values, edges)[0]
    figure = new_figure(7, 3.4)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        colours = [ORANGE if edge < critical_s else BLUE for edge in edges[:-1]]
        axes.bar(edges[:-1], counts, width=0.5, align="edge", color=colours, edgecolor="white")
        axes.axvline(critical_s, color=ORANGE, lw=1.4, ls="--")
        axes.text(critical_s, counts.max() * 1.04, f" {critical_s:g} s", color=ORANGE, va="bottom")
        axes.set(xlabel=label, ylabel=counted, title=title, xlim=(0, LONGEST_S), ylim=(0, counts.max() * 1.2))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        ticks = np.arange(0, LONGEST_S + 1)
        axes.set_xticks(ticks, [*(f"{tick:g}" for tick in ticks[:-1]), f"{LONGEST_S:g}+"])
        axes.grid(visible=False, axis="x")
    return Chart(name, title, f"{len(rows)} {counted}. {caption}", figure, table, "Following")
