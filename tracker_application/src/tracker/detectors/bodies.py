"""Where a vehicle stands, from the outline that is seen of it: its upper parts lean away from the point below the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats
from tracker.geometry import transform

# By what is seen of them, metres: longer than the first are vans, longer than the second trucks and buses.
VAN_M, LARGE_M = 5.3, 6.8
VAN_HEIGHT = 1.5
LEAST_SIZE_M = 0.3


@dataclass(frozen=True, slots=True)
class Body:
    """How high a kind of vehicle is. The sides reach up to `shoulder_m`; the roof at `roof_m` is smaller: it reaches
    from the middle to these shares of length and width. Below `sill_m` nothing is told from the road.
    """

    sill_m: float
    shoulder_m: float
    roof_m: float
    roof_along: float
    roof_across: float


@dataclass(frozen=True, slots=True)
class Heights:
    """Of a car's roof and of large vehicles, metres."""

    car_m: float
    large_m: float

    def body(self, length_m: float, kind: str) -> Body:
        """What a vehicle of this length is like; "" is a kind that is not known."""
        if kind == "two_wheeler":
            return Body(0.0, 0.6 * self.car_m, self.car_m, 0.2, 0.3)
        if length_m > LARGE_M or kind == "truck_bus":
            return Body(0.2, self.large_m, self.large_m, 0.5, 0.5)
        if length_m > VAN_M:
            return Body(0.2, VAN_HEIGHT * self.car_m, VAN_HEIGHT * self.car_m, 0.5, 0.5)
        return Body(0.15, 0.58 * self.car_m, self.car_m, 0.24, 0.38)


@dataclass(frozen=True, slots=True)
class Standing:
    """A vehicle on the ground: its middle, the direction of its axis (counter-clockwise from x) and its size."""

    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    width_m: float


def standing(corners_px: Floats, to_world: Floats, camera_m: Floats, heights: Heights, kind: str = "") -> Standing:
    """The vehicle whose visible outline has these corners (4 x 2). `camera_m`: where the camera was, z up from ground."""
    a, b, c, d = transform(to_world, corners_px)
    first, second = ((b - a) + (c - d)) / 2, ((d - a) + (c - b)) / 2
    long, short = (first, second) if np.hypot(*first) >= np.hypot(*second) else (second, first)
    seen_m = float(np.hypot(*long)), float(np.hypot(*short))
    heading = float(np.arctan2(long[1], long[0]))
    axes = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    middle = (a + b + c + d) / 4
    body = heights.body(seen_m[0], kind)
    # How far a point leans for each metre it is high, along and across the vehicle.
    lean = axes @ (middle - camera_m[:2]) / max(camera_m[2] - body.roof_m, 1.0)
    sizes, shifts = [], []
    for extent, share, slope in zip(seen_m, (body.roof_along, body.roof_across), lean, strict=True):
        size, shift = _along(extent, abs(float(slope)), body, share)
        sizes.append(size)
        shifts.append(np.sign(slope) * shift)
    x, y = middle - np.array(shifts) @ axes
    return Standing(float(x), float(y), heading, *sizes)


def _along(extent_m: float, slope: float, body: Body, share: float) -> tuple[float, float]:
    """Size on the ground along one axis, and how far the outline's middle is off, from the outline's extent.

    It reaches from the near edge at the sill to the far edge of the shoulder or the roof, whichever is further out.
    """
    by_shoulder = extent_m - (body.shoulder_m - body.sill_m) * slope
    by_roof = (extent_m - (body.roof_m - body.sill_m) * slope) / (0.5 + share)
    size = max(min(by_shoulder, by_roof), LEAST_SIZE_M)
    near = size / 2 - body.sill_m * slope
    return size, (extent_m - 2 * near) / 2
