"""Distributions of speeds and accelerations."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np

from tracker.charts.style import BLUE, ORANGE, STANDING_KM_H, STYLE, Chart, empty, new_figure
from tracker.tables import Table

NOBODY = "no vehicle was tracked"


def speed_distribution(tracks: Table) -> Chart:
    """Distribution of speeds, as shares of the time that vehicles were seen."""
    columns = ("speed_from_km_h", "speed_to_km_h", "share_of_time_percent")
    speeds = tracks["speed_m_s"] * 3.6
    if not len(speeds):
        return empty("speed_distribution", "Speeds", NOBODY, columns)
    edges = np.arange(0, max(10.0, np.ceil((speeds.max() + 0.1) / 5) * 5) + 2.5, 5)
    share = np.histogram(speeds, edges)[0] / len(speeds) * 100
    figure = new_figure(7, 3.6)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        axes.bar(edges[:-1], share, width=5, align="edge", color=BLUE, edgecolor="white")
        moving = speeds[speeds > STANDING_KM_H]
        if len(moving):
            median = float(np.median(moving))
            axes.axvline(median, color=ORANGE, lw=1.6)
            axes.text(median, share.max() * 1.02, f" median while driving {median:.0f} km/h", color=ORANGE, va="bottom")
        axes.set(
            xlabel="speed (km/h)", ylabel="share of time (%)", title="Speeds", ylim=(0, share.max() * 1.15),
            xlim=(0, edges[-1]),
        )  # fmt: skip
        axes.grid(visible=False, axis="x")
    caption = "All vehicles, weighted by time. The first bar includes stopped and creeping vehicles."
    table = dict(zip(columns, (edges[:-1], edges[1:], share), strict=True))
    return Chart("speed_distribution", "Speeds", caption, figure, table)


def acceleration_distribution(tracks: Table) -> Chart:
    """Distribution of accelerations while driving."""
    columns = ("acceleration_from_m_s2", "acceleration_to_m_s2", "share_of_driving_time_percent")
    driving = tracks["acceleration_m_s2"][tracks["speed_m_s"] * 3.6 > STANDING_KM_H]
    if not len(driving):
        return empty("acceleration_distribution", "Accelerations", "no vehicle moved", columns)
    reach = float(np.clip(np.ceil(np.percentile(np.abs(driving), 99.5)), 2, 10))
    edges = np.arange(-reach, reach + 0.25, 0.5)
    share = np.histogram(np.clip(driving, -reach, reach), edges)[0] / len(driving) * 100
    figure = new_figure(7, 3.6)
    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        colours = [ORANGE if edge < 0 else BLUE for edge in edges[:-1]]
        axes.bar(edges[:-1], share, width=0.5, align="edge", color=colours, edgecolor="white")
        axes.set(xlabel="longitudinal acceleration (m/s²)", ylabel="share of driving time (%)", title="Accelerations")
        axes.text(0.01, 0.94, "braking", color=ORANGE, transform=axes.transAxes)
        axes.text(0.99, 0.94, "speeding up", color=BLUE, ha="right", transform=axes.transAxes)
        axes.set_ylim(0, share.max() * 1.15)
        axes.grid(visible=False, axis="x")
    caption = (
        f"While driving faster than {STANDING_KM_H:g} km/h. The outermost bars include all larger values. "
        "Braking harder than 3 m/s² is unusual in calm traffic."
    )
    table = dict(zip(columns, (edges[:-1], edges[1:], share), strict=True))
    return Chart("acceleration_distribution", "Accelerations", caption, figure, table)
