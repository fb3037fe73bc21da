"""A drone's camera that hovers above the scene and drifts a little, and its lens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture

FIELD_OF_VIEW_DEG = 73.7
VIEW_WIDTH_M = 116.0
HEIGHT_M = VIEW_WIDTH_M / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))


@dataclass(frozen=True, eq=False)
class View:
    """The camera at one moment. `rotation` is world to camera; `position_m` is the camera's position."""

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

    def widened(self, margin_px: int) -> View:
        """The same view in an image that is larger by a margin on each side."""
        shift = np.array([[1.0, 0, margin_px], [0, 1.0, margin_px], [0, 0, 1.0]])
        return View(shift @ self.intrinsics, self.rotation, self.position_m)


def intrinsics_of(width_px: int, height_px: int) -> Floats:
    """The camera matrix; the principal point is the centre."""
    focal = width_px / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
    return np.array([[focal, 0, (width_px - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1]])


def view_at(time_s: float, width_px: int, height_px: int, seed: int = 0) -> View:
    """The camera pose over time: a slow swing of about a metre, two degrees, and one per cent of the height.

    The seed determines the start of the swing and the heading.
    """
    random = np.random.default_rng([seed, 3])
    starts, bearing = (random.uniform(0, 60, 6), random.uniform(-6, 6)) if seed else (np.zeros(6), 3.0)

    def swing(number: int, period_s: float, phase: float) -> float:
        return math.sin(2 * math.pi * (time_s + starts[number]) / period_s + phase)

    yaw = math.radians(bearing + 1.8 * swing(0, 23.0, 0.3))
    pitch = math.radians(2.5 + 0.35 * swing(1, 7.0, 1.0))
    roll = math.radians(0.3 * swing(2, 9.0, 2.0))
    height = HEIGHT_M * (1 + 0.008 * swing(5, 19.0, 0.7))
    position = np.array([1.1 * swing(3, 13.0, 0.0), -4.0 + 0.9 * swing(4, 17.0, 1.3), height])
    return View(intrinsics_of(width_px, height_px), looking_down(yaw, pitch, roll), position)


def looking_down(yaw: float, pitch: float, roll: float) -> Floats:
    """The rotation, world to camera, of a camera that looks down with north at the top, but for these angles."""
    down = np.diag([1.0, -1.0, -1.0])
    about_up = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    about_right = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_forward = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    rotation: Floats = about_forward @ about_right @ down @ about_up
    return rotation


class Lens:
    """The Brown model with k1 and k2: maps the image of a pinhole camera to that of the lens, and back."""

    def __init__(self, k1: float, k2: float, width_px: int, height_px: int) -> None:
        self.matrix = intrinsics_of(width_px, height_px)
        self.coefficients = (k1, k2)
        self.is_ideal = k1 == 0 and k2 == 0
        self.margin_px = 0
        if not self.is_ideal:
            columns, rows = np.meshgrid(np.arange(width_px), np.arange(height_px))
            seen = self.undistorted(np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64))
            over = np.maximum(-seen, seen - [width_px - 1, height_px - 1]).max()
            self.margin_px = max(0, math.ceil(over)) + 2
            places = (seen + self.margin_px).reshape(height_px, width_px, 2).astype(np.float32)
            self.columns, self.rows = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))

    def distorted(self, pixels: Floats) -> Floats:
        """Pixels of the pinhole image, n x 2, to those of the film."""
        if self.is_ideal:
            return pixels
        rays = (pixels - self.matrix[:2, 2]) / np.diag(self.matrix)[:2]
        radius = (rays**2).sum(axis=1, keepdims=True)
        bent = rays * (1 + self.coefficients[0] * radius + self.coefficients[1] * radius**2)
        seen: Floats = bent * np.diag(self.matrix)[:2] + self.matrix[:2, 2]
        return seen

    def undistorted(self, pixels: Floats) -> Floats:
        """Pixels of the film, n x 2, to those of the pinhole image."""
        if self.is_ideal:
            return pixels
        rays = (pixels - self.matrix[:2, 2]) / np.diag(self.matrix)[:2]
        seen = np.hypot(rays[:, 0], rays[:, 1])
        radius, (k1, k2) = seen.copy(), self.coefficients
        for _ in range(8):  # Newton's method: far more than enough for a lens
            square = radius * radius
            radius -= (radius * (1 + square * (k1 + square * k2)) - seen) / (1 + square * (3 * k1 + 5 * square * k2))
        stretch = np.divide(radius, seen, out=np.ones_like(seen), where=seen > 0)
        flat: Floats = rays * stretch[:, None] * np.diag(self.matrix)[:2] + self.matrix[:2, 2]
        return flat

    def film(self, picture: Picture) -> Picture:
        """The lens's image of a picture that is larger by `margin_px`."""
        if self.is_ideal:
            return picture
        seen: Picture = cv2.remap(picture, self.columns, self.rows, cv2.INTER_LINEAR)
        return seen
