"""A drone's camera that hangs above the crossroads and drifts a little."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tracker.arrays import Floats

FIELD_OF_VIEW_DEG = 73.7
VIEW_WIDTH_M = 116.0
HEIGHT_M = VIEW_WIDTH_M / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))


@dataclass(frozen=True, eq=False)
class View:
    """The camera at one moment. `rotation` is world to camera; `position_m` is the camera's place."""

    intrinsics: Floats
    rotation: Floats
    position_m: Floats

    @property
    def ground_to_pixels(self) -> Floats:
        """3 x 3: metres on the ground to pixels."""
        translation = -self.rotation @ self.position_m
        matrix = self.intrinsics @ np.column_stack([self.rotation[:, :2], translation])
        normal: Floats = matrix / matrix[2, 2]
        return normal

    def pixels(self, points_m: Floats) -> Floats:
        """N x 3 metres to n x 2 pixels."""
        seen = (points_m - self.position_m) @ self.rotation.T @ self.intrinsics.T
        pixels: Floats = seen[:, :2] / seen[:, 2:]
        return pixels


def view_at(time_s: float, width_px: int, height_px: int) -> View:
    """Where the camera is and looks: a slow swing of about a metre, two degrees, and one per cent of the height."""

    def swing(period_s: float, phase: float) -> float:
        return math.sin(2 * math.pi * time_s / period_s + phase)

    focal = width_px / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
    intrinsics = np.array([[focal, 0, (width_px - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1]])
    yaw = math.radians(3.0 + 1.8 * swing(23.0, 0.3))
    pitch = math.radians(2.5 + 0.35 * swing(7.0, 1.0))
    roll = math.radians(0.3 * swing(9.0, 2.0))
    position = np.array(
        [1.1 * swing(13.0, 0.0), -4.0 + 0.9 * swing(17.0, 1.3), HEIGHT_M * (1 + 0.008 * swing(19.0, 0.7))]
    )
    down = np.diag([1.0, -1.0, -1.0])  # looks straight down, the top of the picture is north
    about_up = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    about_right = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_forward = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    return View(intrinsics, about_forward @ about_right @ down @ about_up, position)
