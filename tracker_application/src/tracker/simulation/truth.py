"""The ground truth table: each vehicle on each frame."""

from __future__ import annotations

import math

from tracker.simulation.traffic import Vehicle

TRUTH_COLUMNS = (
    "frame", "time_s", "vehicle_id", "class", "x_m", "y_m", "heading_deg", "speed_m_s", "length_m", "width_m",
    "height_m", "visible", "lane_id", "movement",
)  # fmt: skip


def true_row(frame: int, time_s: float, vehicle: Vehicle, *, visible: bool) -> tuple[float | str, ...]:
    """A vehicle on a frame; `visible`: its whole outline is in view."""
    x, y, heading = vehicle.pose
    return (
        frame, time_s, vehicle.number, vehicle.kind, x, y, math.degrees(heading), vehicle.true_speed_m_s,
        vehicle.length_m, vehicle.width_m, vehicle.height_m, int(visible), vehicle.path.lane_at(vehicle.distance_m),
        vehicle.path.way,
    )  # fmt: skip
