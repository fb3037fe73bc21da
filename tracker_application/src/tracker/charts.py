"""The charts of a project. Each is a function from data to a figure; the data is written beside it as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tracker.arrays import Floats, Picture
from tracker.geometry import transform
from tracker.tables import Table, groups

mpl.use("Agg")
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7ea",
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a939c",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
}
BLUE, ORANGE, GREY = "#1f6fb4", "#d9742b", "#8a939c"
SPEED_MAP = "viridis"


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure, the table behind it, and what it shows in a sentence."""

    name: str
    title: str
    caption: str
    figure: Figure
    table: Table


def _figure(width_in: float, height_in: float) -> Figure:
    with mpl.rc_context(STYLE):
        return Figure(figsize=(width_in, height_in), dpi=110, layout="constrained")


def speed_distribution(tracks: Table) -> Chart:
    """How often vehicles were how fast: the share of all time they were seen."""
    speeds = tracks["speed_m_s"] * 3.6
    edges = np.arange(0, max(10.0, np.ceil((speeds.max() + 0.1) / 5) * 5) + 2.5, 5)
    share = np.histogram(speeds, edges)[0] / len(speeds) * 100
    figure = _figure(7, 3.6)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        axes.bar(edges[:-1], share, width=5, align="edge", color=BLUE, edgecolor="white")
        moving = speeds[speeds > 5]  # noqa: PLR2004  slower is standing, in the chart's first bar
        if len(moving):
            median = float(np.median(moving))
            axes.axvline(median, color=ORANGE, lw=1.6)
            axes.text(median, share.max() * 1.02, f" median while driving {median:.0f} km/h", color=ORANGE, va="bottom")
        axes.set(
            xlabel="speed (km/h)",
            ylabel="share of time (%)",
            title="Speeds",
            ylim=(0, share.max() * 1.15),
            xlim=(0, edges[-1]),
        )
        axes.grid(visible=False, axis="x")
    table = {"speed_from_km_h": edges[:-1], "speed_to_km_h": edges[1:], "share_of_time_percent": share}
    caption = "All vehicles, each moment counted once. The first bar is standing and creeping."
    return Chart("speed_distribution", "Speeds", caption, figure, table)


def traffic_over_time(tracks: Table, area_m2: float) -> Chart:
    """How many vehicles were in view, and how fast, second by second."""
    seconds = np.floor(tracks["time_s"]).astype(int)
    span = np.arange(seconds.min(), seconds.max() + 1)
    frames = np.array([len(np.unique(tracks["frame"][seconds == second])) for second in span])
    rows = np.array([int((seconds == second).sum()) for second in span])
    count = rows / np.maximum(frames, 1)
    speed = np.array(
        [np.mean(tracks["speed_m_s"][seconds == s]) * 3.6 if (seconds == s).any() else np.nan for s in span]
    )
    figure = _figure(7, 4.2)
    with mpl.rc_context(STYLE):
        upper, lower = figure.subplots(2, 1, sharex=True)
        edges = np.append(span, span[-1] + 1)
        upper.stairs(count, edges, baseline=None, color=BLUE, lw=1.8)
        upper.stairs(count, edges, color=BLUE, alpha=0.15, fill=True)
        upper.set(ylabel="vehicles in view", title="Traffic over time", ylim=(0, None))
        lower.stairs(speed, edges, baseline=None, color=ORANGE, lw=1.8)
        lower.set(xlabel="time (s)", ylabel="mean speed (km/h)", ylim=(0, None), xlim=(edges[0], edges[-1]))
    table = {
        "second_s": span,
        "vehicles": count,
        "density_per_hectare": count / area_m2 * 1e4,
        "mean_speed_km_h": speed,
    }
    caption = "Means of each second. The density in the table is vehicles a hectare of the area in view."
    return Chart("traffic_over_time", "Traffic over time", caption, figure, table)


def speed_map(tracks: Table, background: Picture, to_pixels: Floats) -> Chart:
    """Where vehicles drove and how fast. `background` shows the road; `to_pixels` takes metres to its pixels."""
    height, width = background.shape[:2]
    figure = _figure(9, 8.2 * height / width + 0.4)
    speeds = tracks["speed_m_s"] * 3.6
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        grey = background.mean(axis=2)
        axes.imshow(grey, cmap="gray", vmin=-60, vmax=330, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        lines, values = [], []
        for track in groups(tracks, "track_id").values():
            points = transform(to_pixels, np.column_stack([track["x_m"], track["y_m"]]))
            lines += list(np.stack([points[:-1], points[1:]], axis=1))
            values += list(track["speed_m_s"][:-1] * 3.6)
        drawn = LineCollection(lines, array=np.array(values), cmap=SPEED_MAP, lw=1.8, capstyle="round")
        drawn.set_clim(0, max(10.0, float(np.percentile(speeds, 99))))
        axes.add_collection(drawn)
        axes.set(xlim=(0, width), ylim=(height, 0), title="Trajectories and speeds")
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, label="km/h", shrink=0.8, pad=0.01)
    columns = ("track_id", "time_s", "x_m", "y_m", "speed_m_s")
    caption = "Each line is one vehicle, drawn on what stands still."
    return Chart("speed_map", "Trajectories and speeds", caption, figure, {name: tracks[name] for name in columns})


def space_time(tracks: Table, lane_id: str, middle_m: Floats) -> Chart:
    """One lane: where along it each vehicle was when. Flat lines stand, steep lines drive."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(middle_m, axis=0).T))])
    on_lane = tracks["lane_id"] == lane_id
    places = np.column_stack([tracks["x_m"], tracks["y_m"]])[on_lane]
    nearest = np.hypot(*(places[:, None] - middle_m[None]).transpose(2, 0, 1)).argmin(axis=1)
    steps = np.gradient(middle_m, axis=0)
    unit = steps / np.hypot(*steps.T)[:, None]
    distance = along[nearest] + ((places - middle_m[nearest]) * unit[nearest]).sum(axis=1)
    numbers, times, speeds = tracks["track_id"][on_lane], tracks["time_s"][on_lane], tracks["speed_m_s"][on_lane] * 3.6
    figure = _figure(7, 4.0)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        shown = axes.scatter(
            times, distance, c=speeds, s=5, cmap=SPEED_MAP, vmin=0, vmax=max(10.0, float(speeds.max()))
        )
        for number in np.unique(numbers):
            rows = np.flatnonzero(numbers == number)
            axes.annotate(
                f"#{number}",
                (times[rows[-1]], distance[rows[-1]]),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set(xlabel="time (s)", ylabel="way along the lane (m)", title=f"Space and time on lane {lane_id}")
        figure.colorbar(shown, ax=axes, label="km/h")
    table = {"track_id": numbers, "time_s": times, "distance_m": distance, "speed_km_h": speeds}
    caption = (
        f"The lane that most vehicles used. Steep lines drive, flat lines stand; {len(np.unique(numbers))} vehicles."
    )
    return Chart("space_time", f"Space and time on lane {lane_id}", caption, figure, table)


def camera_drift(camera: Table) -> Chart:
    """How the camera moved."""
    time = camera["time_s"]
    figure = _figure(7, 4.2)
    with mpl.rc_context(STYLE):
        upper, lower = figure.subplots(2, 1, sharex=True)
        for name, label, colour in (("x_m", "x", BLUE), ("y_m", "y", ORANGE), ("z_m", "height", GREY)):
            upper.plot(time, camera[name] - camera[name][0], color=colour, lw=1.6, label=label)
        upper.set(ylabel="moved (m)", title="Camera drift")
        upper.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0.3, 1.22))
        turned = np.degrees(np.unwrap(np.radians(camera["yaw_deg"])))
        lower.plot(time, turned - turned[0], color=BLUE, lw=1.6, label="yaw")
        lower.plot(time, camera["tilt_deg"] - camera["tilt_deg"][0], color=ORANGE, lw=1.6, label="tilt")
        lower.set(xlabel="time (s)", ylabel="turned (degrees)")
        lower.legend(frameon=False, ncols=2, loc="best")
    caption = "Against the first frame, for the view angle and the smoothing that estimate_camera was given."
    return Chart("camera_drift", "Camera drift", caption, figure, camera)
