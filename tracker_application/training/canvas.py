"""An image drawn in metres: flat shapes, and solids that lean away from the camera's foot and cast shadows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
# Oversampling, so that reduced edges are as soft as a camera's.
FINER = 2
# How far `fill` extends beyond the corners, averaged over directions: OpenCV draws the edge as a soft line.
SOFT_EDGE_PX = 0.67


@dataclass(slots=True, eq=False)
class Canvas:
    """`pixels_per_m` of the fine image; `lean`, `sun`: offset per metre of height, of objects and shadows."""

    random: np.random.Generator
    size: int
    pixels_per_m: float
    lean: Floats
    sun: Floats
    picture: NDArray[np.uint8] = field(init=False)
    shadows: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.picture = np.zeros((self.size, self.size, 3), np.uint8)
        self.shadows = np.zeros((self.size, self.size), np.uint8)

    @property
    def extent_m(self) -> float:
        """Length of a side."""
        return self.size / self.pixels_per_m

    def pixels(self, points_m: Floats, height_m: float = 0.0) -> Floats:
        """Positions in the fine image."""
        seen: Floats = (np.asarray(points_m, float) + self.lean * height_m) * self.pixels_per_m
        return seen

    def polygon(self, points_m: Floats, colour: Any, height_m: float = 0.0) -> None:
        """Fill a horizontal polygon at a height."""
        fill(self.picture, self.pixels(points_m, height_m), colour)

    def line(self, start_m: Floats, end_m: Floats, width_m: float, colour: Any, height_m: float = 0.0) -> None:
        """A straight band."""
        start, end = np.asarray(start_m, float), np.asarray(end_m, float)
        along = (end - start) / max(1e-6, float(np.hypot(*(end - start))))
        side = np.array([-along[1], along[0]]) * width_m / 2
        self.polygon(np.array([start + side, end + side, end - side, start - side]), colour, height_m)

    def shadow(self, points_m: Floats, low_m: float, high_m: float) -> None:
        """Cast the shadow of a prism over a convex polygon on the ground."""
        both = np.vstack([points_m + self.sun * low_m, points_m + self.sun * high_m]) * self.pixels_per_m
        fill(self.shadows, cv2.convexHull(both.astype(np.float32))[:, 0], 255)

    def solid(self, base_m: Floats, top_m: Floats, low_m: float, high_m: float, side: Any, top: Any) -> Floats:
        """A body between two polygons with equal numbers of corners. Returns its corners in the fine image.

        Sides facing the sun are brighter. `side` is one colour, or one per edge.
        """
        low, high = self.pixels(base_m, low_m), self.pixels(top_m, high_m)
        sides = np.broadcast_to(np.asarray(side, float), (len(low), 3))
        ring = np.arange(len(low))
        following = np.roll(ring, -1)
        edges = base_m[following] - base_m
        normals = np.column_stack([edges[:, 1], -edges[:, 0]])
        normals /= np.maximum(np.hypot(*normals.T), 1e-6)[:, None]
        if _signed_area(base_m) < 0:
            normals = -normals
        length = float(np.hypot(*self.sun))
        lit = 0.75 - 0.35 * (normals @ self.sun) / max(length, 0.3)
        # Far sides first: near ones and the top hide them, unless the body narrows.
        for edge in np.argsort(-(normals @ self.lean)):
            quad = np.array([low[edge], low[following[edge]], high[following[edge]], high[edge]])
            fill(self.picture, quad, np.clip(sides[edge] * lit[edge], 0, 255))
        fill(self.picture, high, top)
        return np.vstack([low, high])

    def shade(self, strength: float, blur_m: float, tint: Floats) -> None:
        """Darken the image where shadows fell, and clear them."""
        if not self.shadows.any():
            return
        soft = cv2.GaussianBlur(self.shadows, (0, 0), max(0.5, blur_m * self.pixels_per_m))
        levels = 255 * (1 - strength * np.arange(256) / 255 * np.reshape(tint, (3, 1)))
        left = cv2.merge([cv2.LUT(soft, channel.round().astype(np.uint8)) for channel in levels])
        self.picture = cv2.multiply(self.picture, left, scale=1 / 255)
        self.shadows[:] = 0

    def noise(self, scales_px: tuple[float, ...], strengths: tuple[float, ...]) -> Floats:
        """Smooth noise of several sizes, size x size."""
        total = np.zeros((self.size, self.size), np.float32)
        for scale, strength in zip(scales_px, strengths, strict=True):
            few = int(self.size / scale) + 3
            coarse = (self.random.standard_normal((few, few)) * strength).astype(np.float32)
            total += cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return total


def fill(picture: NDArray[np.uint8], points_px: Floats, colour: Any) -> None:
    """A polygon with soft edges, accurate to a sixteenth of a pixel."""
    ends = np.clip(np.asarray(points_px) * 16, -1e6, 1e6).round().astype(np.int32)
    channels = [min(255.0, max(0.0, float(v))) for v in np.atleast_1d(colour)]
    cv2.fillPoly(picture, [ends], channels, cv2.LINE_AA, 4)


def box(length: float, width: float, x: float = 0.0, y: float = 0.0) -> Floats:
    """A rectangle, x along its length."""
    return np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length / 2, width / 2] + [x, y]


def rounded(length: float, width: float, front: float, back: float, x: float = 0.0) -> Floats:
    """A rectangle with round corners, 20 points; radii of the front and of the rear corners."""
    points = []
    for sx, sy, radius, start in ((1, 1, front, 0), (-1, 1, back, 90), (-1, -1, back, 180), (1, -1, front, 270)):
        angles = np.radians(np.linspace(start, start + 90, 5))
        centre = np.array([sx * (length / 2 - radius), sy * (width / 2 - radius)])
        points.append(centre + radius * np.column_stack([np.cos(angles), np.sin(angles)]))
    return np.vstack(points) + [x, 0]


def unit(angle: float) -> Floats:
    """Unit vector of a direction."""
    return np.array([np.cos(angle), np.sin(angle)])


def grey(random: np.random.Generator, low: float, high: float, tint: float = 6.0) -> Floats:
    """A grey with a tint."""
    tinted: Floats = np.full(3, random.uniform(low, high)) + random.normal(0, tint, 3)
    return tinted


def disc(radius: float, corners: int = 18) -> Floats:
    """A circle around the origin."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return radius * np.column_stack([np.cos(angles), np.sin(angles)])


def placed(points: Floats, x: float, y: float, angle: float) -> Floats:
    """Rotated by an angle, then translated."""
    cosine, sine = np.cos(angle), np.sin(angle)
    moved: Floats = np.asarray(points) @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y]
    return moved


def _signed_area(points: Floats) -> float:
    x, y = points.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
