"""Space-time diagrams: the position of each vehicle along a lane over time."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np

from tracker.arrays import Floats
from tracker.charts.style import SPEED_MAP, STYLE, Chart, empty, new_figure
from tracker.following import along_lane
from tracker.tables import Table

COLUMNS = ("track_id", "time_s", "distance_m", "speed_km_h")
# Labels closer than this on the chart would overlap, in points.
LABEL_POINTS = 9


def space_time(tracks: Table, lane_id: str, middle_m: Floats) -> Chart:
    """Space-time diagram of one lane: vehicles are stopped where lines are flat, and drive where they are steep."""
    name, title = f"space_time_{lane_id}", f"Space-time diagram of lane {lane_id}"
    on_lane = tracks["lane_id"] == lane_id
    if not on_lane.any():
        return empty(name, title, "no vehicle drove on this lane", COLUMNS, "Lanes")
    distance = along_lane(middle_m, np.column_stack([tracks["x_m"], tracks["y_m"]])[on_lane])
    numbers, times, speeds = tracks["track_id"][on_lane], tracks["time_s"][on_lane], tracks["speed_m_s"][on_lane] * 3.6
    figure = new_figure(7, 4.0)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        shown = axes.scatter(
            times, distance, c=speeds, s=5, cmap=SPEED_MAP, vmin=0, vmax=max(10.0, float(speeds.max())), rasterized=True
        )
        used: list[tuple[float, float]] = []
        width, height = max(float(np.ptp(times)), 1e-3) / 400, max(float(np.ptp(distance)), 1e-3) / 220
        for number in np.unique(numbers):
            last = np.flatnonzero(numbers == number)[-1]
            place = times[last] / width, distance[last] / height
            if all(abs(place[0] - x) > 2 * LABEL_POINTS or abs(place[1] - y) > LABEL_POINTS for x, y in used):
                used.append(place)
                at = (times[last], distance[last])
                axes.annotate(f"#{number}", at, xytext=(3, 0), textcoords="offset points", fontsize=8, va="center")
        axes.set(xlabel="time (s)", ylabel="distance along the lane (m)", title=title)
        axes.margins(x=0.06)
        figure.colorbar(shown, ax=axes, label="speed (km/h)")
    count = len(np.unique(numbers))
    caption = (
        f"Steep lines are moving vehicles, flat lines stopped ones; {count} vehicle{'s' if count > 1 else ''} "
        "(#: number)."
    )
    table = dict(zip(COLUMNS, (numbers, times, distance, speeds), strict=True))
    return Chart(name, title, caption, figure, table, "Lanes")


def no_lanes() -> Chart:
    """The placeholder if there are no lanes."""
    return empty("space_time", "Space-time diagrams", "no lanes were found", COLUMNS, "Lanes")
