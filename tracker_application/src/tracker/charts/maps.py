"""Maps on the background image: trajectories, and slow and fast locations."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection

from tracker.arrays import Floats, Picture
from tracker.charts.speeds import NOBODY
from tracker.charts.style import SPEED_MAP, STANDING_KM_H, STYLE, Chart, empty, new_figure
from tracker.geometry import transform
from tracker.tables import Table, groups

CELL_M = 2.0


def _on_background(axes: Any, background: Picture) -> None:
    height, width = background.shape[:2]
    grey = background.mean(axis=2)
    axes.imshow(grey, cmap="gray", vmin=-60, vmax=330, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()


def speed_map(tracks: Table, background: Picture, to_pixels: Floats) -> Chart:
    """Where vehicles drove and how fast. `background` shows the road; `to_pixels` maps metres to its pixels."""
    columns = ("track_id", "time_s", "x_m", "y_m", "speed_km_h")
    title = "Trajectories and speeds"
    if not len(tracks["time_s"]):
        return empty("speed_map", title, NOBODY, columns, "Overview")
    height, width = background.shape[:2]
    figure = new_figure(9, 8.2 * height / width + 0.4)
    speeds = tracks["speed_m_s"] * 3.6
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        _on_background(axes, background)
        lines, values = [], []
        for track in groups(tracks, "track_id").values():
            points = transform(to_pixels, np.column_stack([track["x_m"], track["y_m"]]))
            lines += list(np.stack([points[:-1], points[1:]], axis=1))
            values += list(track["speed_m_s"][:-1] * 3.6)
        drawn = LineCollection(lines, array=np.array(values), cmap=SPEED_MAP, lw=1.8, capstyle="round", rasterized=True)
        drawn.set_clim(0, max(10.0, float(np.percentile(speeds, 99))))
        axes.add_collection(drawn)
        axes.set_title(title)
        figure.colorbar(drawn, ax=axes, label="speed (km/h)", shrink=0.8, pad=0.01)
    table = {name: tracks[name] for name in columns[:-1]} | {"speed_km_h": speeds}
    return Chart(
        "speed_map", title, "Each line is one vehicle, drawn on the background image.", figure, table, "Overview"
    )


def slow_and_fast_places(tracks: Table, background: Picture, to_pixels: Floats) -> Chart:
    """Heat maps: mean speed per ground cell, and time that vehicles were stopped there."""
    name, title = "slow_and_fast_places", "Slow and fast locations"
    columns = ("x_m", "y_m", "mean_speed_km_h", "occupied_s", "standing_s", "vehicles")
    if not len(tracks["time_s"]):
        return empty(name, title, NOBODY, columns, "Overview")
    first = np.floor(np.array([tracks["x_m"].min(), tracks["y_m"].min()]) / CELL_M).astype(int)
    cells = np.floor(np.column_stack([tracks["x_m"], tracks["y_m"]]) / CELL_M).astype(int) - first
    across, up = cells.max(axis=0) + 1
    at = cells[:, 1] * across + cells[:, 0]
    speeds = tracks["speed_m_s"] * 3.6
    moments = np.unique(tracks["time_s"])
    step = float(np.median(np.diff(moments))) if len(moments) > 1 else 0.0
    rows = np.bincount(at, minlength=across * up)
    mean = np.where(rows > 0, np.bincount(at, speeds, across * up) / np.maximum(rows, 1), np.nan)
    standing = np.bincount(at, speeds < STANDING_KM_H, across * up) * step
    different = np.unique(np.column_stack([at, tracks["track_id"]]), axis=0)[:, 0]
    x_edges, y_edges = (first[0] + np.arange(across + 1)) * CELL_M, (first[1] + np.arange(up + 1)) * CELL_M
    grid = np.stack(np.meshgrid(x_edges, y_edges), axis=-1)
    corners = transform(to_pixels, grid.reshape(-1, 2)).reshape(grid.shape)
    height, width = background.shape[:2]
    figure = new_figure(9, 2 * (7.6 * height / width) + 0.9)
    with mpl.rc_context(STYLE):
        upper, lower = figure.subplots(2, 1)
        stood = np.where(standing > 0, standing, np.nan)
        for axes, values, colours, label, subtitle in (
            (upper, mean, SPEED_MAP, "mean speed (km/h)", "Mean speed"),
            (lower, stood, "plasma", "stopped time (vehicle-seconds)", f"Stopped (below {STANDING_KM_H:g} km/h)"),
        ):
            _on_background(axes, background)
            shaped = np.ma.masked_invalid(values.reshape(up, across))
            drawn = axes.pcolormesh(
                corners[..., 0], corners[..., 1], shaped, cmap=colours, alpha=0.85, rasterized=True, vmin=0
            )
            if shaped.count():
                drawn.set_clim(0, max(1e-3, float(shaped.max())))
            else:
                axes.text(0.5, 0.5, "no vehicle stopped", ha="center", transform=axes.transAxes)
            axes.set_title(subtitle)
            figure.colorbar(drawn, ax=axes, label=label, shrink=0.8, pad=0.01)
    used = np.flatnonzero(rows)
    values_by_column = (
        x_edges[used % across] + CELL_M / 2, y_edges[used // across] + CELL_M / 2, mean[used], rows[used] * step,
        standing[used], np.bincount(different, minlength=across * up)[used],
    )  # fmt: skip
    caption = (
        f"Cells of {CELL_M:g} m, by the centres of vehicles. Above: mean speed, from blue (slow) to yellow (fast). "
        "Below: total time that vehicles were stopped."
    )
    table: Table = dict(zip(columns, values_by_column, strict=True))
    return Chart(name, title, caption, figure, table, "Overview")
