"""Ground positions of vehicles from their visible outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tracker.arrays import Floats
from tracker.geometry import transform
from tracker.parallax import CAR, TRUCK_BUS, TWO_WHEELER, VAN, Body, Layer, on_ground

# Visible lengths in metres: below the first are two-wheelers, above the second vans, above the third trucks and buses.
# Used if no network classified them; a network may also take a van for a truck.
TWO_WHEELER_M, VAN_M, LARGE_M = 2.8, 5.3, 6.8
# A network sees bodies down to the dark area below the bumper; motion sees everything down to the ground.
LOWEST_M = {"network": 0.3, "fused": 0.0, "motion": 0.0}


@dataclass(frozen=True, slots=True)
class Heights:
    """Heights of a car's roof and of a large vehicle, metres; 0: no parallax."""

    car_m: float
    large_m: float

    def body(self, length_m: float, width_m: float, kind: str, source: str) -> Body:
        """The body model of a vehicle seen with this length and width by `source`; `kind` "" is unknown."""
        lowest, *others = self._body(length_m, width_m, kind)
        stands_clear = lowest.height_m > 0
        return (replace(lowest, height_m=LOWEST_M[source]) if stands_clear else lowest, *others)

    def _body(self, length_m: float, width_m: float, kind: str) -> Body:
        if kind == "two_wheeler" or (not kind and length_m < TWO_WHEELER_M and width_m < TWO_WHEELER_M / 2):
            return _scaled(TWO_WHEELER, self.car_m / CAR[-1].height_m)
        if length_m > LARGE_M:
            return _scaled(TRUCK_BUS, self.large_m / TRUCK_BUS[-1].height_m)
        return _scaled(VAN if length_m > VAN_M or kind == "truck_bus" else CAR, self.car_m / CAR[-1].height_m)


def standing(
    corners_px: Floats, to_world: Floats, camera_m: Floats, heights: Heights, who: Sequence[tuple[str, str]]
) -> Floats:
    """x_m, y_m, heading_rad, length_m, width_m of vehicles with these visible outlines (corners n x 4 x 2).

    `camera_m` is the camera position, n x 3; `who` gives the kind and source of each.
    """
    a, b, c, d = transform(to_world, corners_px.reshape(-1, 2)).reshape(-1, 4, 2).transpose(1, 0, 2)
    first, second = ((b - a) + (c - d)) / 2, ((d - a) + (c - b)) / 2
    longer = np.hypot(*first.T) >= np.hypot(*second.T)
    long, short = np.where(longer[:, None], first, second), np.where(longer[:, None], second, first)
    length, width = np.hypot(*long.T), np.hypot(*short.T)
    seen = np.column_stack([(a + b + c + d) / 4, np.arctan2(long[:, 1], long[:, 0]), length, width])
    alike: dict[Body, list[int]] = {}
    for row, (long_m, wide_m, (kind, source)) in enumerate(zip(length.tolist(), width.tolist(), who, strict=True)):
        alike.setdefault(heights.body(long_m, wide_m, kind, source), []).append(row)
    places = np.empty_like(seen)
    for body, rows in alike.items():
        places[rows] = on_ground(seen[rows], camera_m[rows], body)
    return places


def _scaled(body: Body, times: float) -> Body:
    layers: tuple[Layer, ...] = tuple(replace(layer, height_m=times * layer.height_m) for layer in body)
    return layers
