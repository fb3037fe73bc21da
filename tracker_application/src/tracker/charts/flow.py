"""Flow and density over time, for the whole view and per lane."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np

from tracker.arrays import Floats
from tracker.charts.speeds import NOBODY
from tracker.charts.style import BLUE, LINES, ORANGE, STYLE, Chart, empty, new_figure
from tracker.following import along_lane, lane_length
from tracker.tables import Table, groups

WINDOWS = 12
SHORTEST_WINDOW_S = 5.0


def traffic_over_time(tracks: Table, area_m2: float) -> Chart:
    """Number of vehicles in view and their mean speed, per second."""
    columns = ("second_s", "vehicles", "density_vehicles_per_hectare", "mean_speed_km_h")
    if not len(tracks["time_s"]):
        return empty("traffic_over_time", "Traffic over time", NOBODY, columns)
    seconds = np.floor(tracks["time_s"]).astype(int)
    span = np.arange(seconds.min(), seconds.max() + 1)
    at = seconds - span[0]
    frames = np.bincount(np.unique(np.column_stack([at, tracks["frame"]]), axis=0)[:, 0], minlength=len(span))
    rows = np.bincount(at, minlength=len(span))
    count = rows / np.maximum(frames, 1)
    sums = np.bincount(at, tracks["speed_m_s"] * 3.6, minlength=len(span))
    speed = np.where(rows > 0, sums / np.maximum(rows, 1), np.nan)
    figure = new_figure(7, 4.2)
    with mpl.rc_context(STYLE):
        upper, lower = figure.subplots(2, 1, sharex=True)
        edges = np.append(span, span[-1] + 1)
        upper.stairs(count, edges, baseline=None, color=BLUE, lw=1.8)
        upper.stairs(count, edges, color=BLUE, alpha=0.15, fill=True)
        upper.set(ylabel="vehicles in view", title="Traffic over time", ylim=(0, None))
        lower.stairs(speed, edges, baseline=None, color=ORANGE, lw=1.8)
        lower.set(xlabel="time (s)", ylabel="mean speed (km/h)", ylim=(0, None), xlim=(edges[0], edges[-1]))
    caption = "Means per second. The density in the table is vehicles per hectare of the area in view."
    values = (span, count, count / area_m2 * 1e4, speed)
    table: Table = dict(zip(columns, values, strict=True))
    return Chart("traffic_over_time", "Traffic over time", caption, figure, table)


def flow_and_density(tracks: Table, lanes: Mapping[str, Floats]) -> Chart:
    """Flow and density of each lane (Edie's definitions): from distances driven and times spent per time window."""
    name, title = "flow_and_density", "Flow and density of the busiest lanes"
    columns = ("lane_id", "from_s", "to_s", "flow_vehicles_per_hour", "density_vehicles_per_km", "mean_speed_km_h")
    if not lanes or not len(tracks["time_s"]):
        return empty(name, title, "no lanes were found", columns)
    start, end = float(tracks["time_s"].min()), float(tracks["time_s"].max())
    window = max(SHORTEST_WINDOW_S, np.ceil((end - start) / WINDOWS))
    edges = start + window * np.arange(max(1, int((end - start) // window)) + 1)
    by_lane = {lane_id: _edie(tracks, lane_id, middle, edges) for lane_id, middle in lanes.items()}
    busiest = sorted(by_lane, key=lambda lane: -by_lane[lane][0].sum())[: len(LINES)]
    figure = new_figure(7, 4.8)
    with mpl.rc_context(STYLE):
        upper, lower = figure.subplots(2, 1, sharex=True)
        for lane_id, (colour, dashes) in zip(busiest, LINES, strict=False):
            flow, density = by_lane[lane_id]
            for axes, values in ((upper, flow), (lower, density)):
                axes.plot(
                    (edges[:-1] + edges[1:]) / 2, values, color=colour, ls=dashes, marker="o", ms=4, label=lane_id
                )
        upper.set(ylabel="flow (vehicles/h)", title=title, ylim=(0, None))
        lower.set(xlabel="time (s)", ylabel="density (vehicles/km)", ylim=(0, None), xlim=(edges[0], edges[-1]))
        figure.legend(*upper.get_legend_handles_labels(), loc="outside right upper", frameon=False, title="lane")
    rows = [
        (lane_id, edges[at], edges[at + 1], flow[at], density[at], flow[at] / density[at] if density[at] else np.nan)
        for lane_id, (flow, density) in by_lane.items()
        for at in range(len(flow))
    ]
    table = {column: np.array([row[index] for row in rows], dtype=object) for index, column in enumerate(columns)}
    caption = (
        f"Windows of {window:g} s: flow is the distance driven on a lane, density the time spent on it, each divided "
        "by the lane's length and the window (Edie). In short videos, windows have few vehicles, so single ones show."
    )
    return Chart(name, title, caption, figure, table)


def _edie(tracks: Table, lane_id: str, middle: Floats, edges: Floats) -> tuple[Floats, Floats]:
    rows = np.flatnonzero(tracks["lane_id"] == lane_id)
    mine = {key: tracks[key][rows] for key in ("track_id", "time_s", "x_m", "y_m")}
    mine["along"] = along_lane(middle, np.column_stack([mine["x_m"], mine["y_m"]]))
    step = float(np.median(np.diff(np.unique(tracks["time_s"])))) if len(tracks["time_s"]) > 1 else 0.0
    way, spent = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    for track in groups(mine, "track_id").values():
        took = np.diff(track["time_s"])
        together = took < 1.5 * step
        at = np.searchsorted(edges, track["time_s"][:-1], side="right") - 1
        kept = together & (at >= 0) & (at < len(way))
        np.add.at(way, at[kept], np.maximum(np.diff(track["along"])[kept], 0))
        np.add.at(spent, at[kept], took[kept])
    region = lane_length(middle) * np.diff(edges)
    return way / region * 3600, spent / region * 1000
