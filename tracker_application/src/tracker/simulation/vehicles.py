"""Draws vehicles as bodies with height, so that they lean away from the camera's foot and cast shadows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.simulation.camera import View
from tracker.simulation.ground import SUN
from tracker.simulation.traffic import Vehicle

SHADOW_STRENGTH = 0.5
SHADOW_BLUR_PX_AT_1080P = 2.2
PAINTS: tuple[tuple[float, float, float], ...] = (
    (238, 238, 236), (228, 230, 230), (205, 207, 208), (168, 170, 172), (112, 114, 116), (40, 40, 42), (28, 28, 30),
    (52, 46, 172), (150, 86, 38), (110, 62, 28), (60, 88, 60), (70, 120, 176), (196, 190, 180), (84, 76, 70),
)  # fmt: skip
GLASS = (46.0, 40.0, 34.0)


def _outline(length: float, width: float, rounding: float = 0.22) -> Floats:
    """A rectangle with cut corners around the origin, x forward."""
    x, y, cut = length / 2, width / 2, rounding
    return np.array(
        [
            [x, y - cut],
            [x - cut, y],
            [-x + cut, y],
            [-x, y - cut],
            [-x, -y + cut],
            [-x + cut, -y],
            [x - cut, -y],
            [x, -y + cut],
        ]
    )


class _Body:
    """One vehicle on one frame."""

    def __init__(self, vehicle: Vehicle, view: View) -> None:
        self.vehicle, self.view = vehicle, view
        self.x, self.y, heading = vehicle.pose
        self.turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])

    def world(self, local: Floats, height_m: float) -> Floats:
        """Points of the vehicle, n x 2, raised to a height: n x 3 in the world."""
        flat = local @ self.turn.T + [self.x, self.y]
        return np.column_stack([flat, np.full(len(flat), height_m)])

    def pixels(self, local: Floats, height_m: float) -> Floats:
        """The same, in the picture."""
        return self.view.pixels(self.world(local, height_m))

    def shadow(self, mask: Picture) -> None:
        """Add the shadow to `mask`."""
        vehicle = self.vehicle
        base = self.world(_outline(vehicle.length_m, vehicle.width_m), 0.0)
        top = self.world(_outline(0.86 * vehicle.length_m, 0.9 * vehicle.width_m), 0.0)
        top[:, :2] += SUN * vehicle.height_m
        ends = self.view.pixels(np.vstack([base, top])).astype(np.float32)
        _fill(mask, cv2.convexHull(ends)[:, 0].astype(np.float64), (255,))

    def draw(self, picture: Picture) -> None:
        """Paint the vehicle."""
        colour = np.array(PAINTS[self.vehicle.number * 5 % len(PAINTS)], np.float64)
        if self.vehicle.kind == "car":
            self._car(picture, colour)
        else:
            self._boxy(picture, colour)

    def _solid(self, picture: Picture, local: Floats, low_m: float, high_m: float, side: Floats, top: Floats) -> None:
        low, high = self.pixels(local, low_m), self.pixels(local, high_m)
        hull = cv2.convexHull(np.vstack([low, high]).astype(np.float32))[:, 0]
        _fill(picture, hull.astype(np.float64), side)
        _fill(picture, high, top)

    def _car(self, picture: Picture, colour: Floats) -> None:
        length, width, height = self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m
        self._solid(picture, _outline(length, width, 0.3), 0.15, 0.85, colour * 0.6, colour)
        cabin = _outline(0.56 * length, 0.88 * width, 0.15) + [-0.06 * length, 0]
        roof = _outline(0.34 * length, 0.76 * width, 0.12) + [-0.08 * length, 0]
        low, high = self.pixels(cabin, 0.85), self.pixels(roof, height)
        hull = cv2.convexHull(np.vstack([low, high]).astype(np.float32))[:, 0]
        _fill(picture, hull.astype(np.float64), np.array(GLASS))
        _fill(picture, high, np.clip(colour * 1.04, 0, 250))
        for side in (-1, 1):
            lamp = np.array([[0.49, 0.40], [0.49, 0.24], [0.45, 0.28], [0.45, 0.42]]) * [length, side * width]
            _fill(picture, self.pixels(lamp, 0.8), np.array([215.0, 225, 228]))

    def _boxy(self, picture: Picture, colour: Floats) -> None:
        vehicle = self.vehicle
        length, width, height = vehicle.length_m, vehicle.width_m, vehicle.height_m
        cab = {"truck": 2.2, "van": 1.9, "bus": 0.5}[vehicle.kind]
        cab_height = height * (0.85 if vehicle.kind != "bus" else 1.0)
        front = _outline(cab, 0.94 * width, 0.12) + [length / 2 - cab / 2, 0]
        self._solid(picture, front, 0.2, cab_height, colour * 0.6, colour)
        screen = np.array([[-0.12, 0.42], [-0.12, -0.42], [-0.5, -0.4], [-0.5, 0.4]]) * [min(cab, 1.2), width] + [
            length / 2,
            0,
        ]
        _fill(picture, self.pixels(screen, cab_height), np.array(GLASS))
        load = np.clip(colour * 0.55 + 95, 0, 245) if vehicle.kind == "truck" else colour
        back = _outline(length - cab - 0.15, width, 0.06) + [-(cab + 0.15) / 2, 0]
        self._solid(picture, back, 0.2, height, load * 0.6, load)
        if vehicle.kind == "bus":
            for place in (-0.3, 0.0, 0.25):
                hatch = _outline(1.3, 1.3, 0.1) + [place * length, 0]
                _fill(picture, self.pixels(hatch, height), load * 0.8)


def _fill(picture: Picture, points_px: Floats, colour: Sequence[float] | Floats) -> None:
    cv2.fillPoly(picture, [np.round(points_px * 16).astype(np.int32)], [float(v) for v in colour], cv2.LINE_AA, 4)


def draw_vehicles(picture: Picture, vehicles: Sequence[Vehicle], view: View) -> Picture:
    """The picture with all shadows and vehicles; what is further from the camera's foot is painted first."""
    bodies = [_Body(vehicle, view) for vehicle in vehicles]
    mask = np.zeros(picture.shape[:2], np.uint8)
    for body in bodies:
        body.shadow(mask)
    soft = cv2.GaussianBlur(mask, (0, 0), SHADOW_BLUR_PX_AT_1080P * picture.shape[0] / 1080)
    light = cv2.LUT(soft, np.round(255 * (1 - SHADOW_STRENGTH * np.arange(256) / 255)).astype(np.uint8))
    shaded = cv2.multiply(picture, cv2.merge([light, light, light]), scale=1 / 255)
    foot = view.position_m[:2]
    for body in sorted(bodies, key=lambda body: -float(np.hypot(body.x - foot[0], body.y - foot[1]))):
        body.draw(shaded)
    return shaded
