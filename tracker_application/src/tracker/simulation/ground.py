"""The ground as a picture: asphalt, markings, pavements, grass, roofs and trees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.simulation.streets import (
    EAST_WEST_HALF_WIDTH_M,
    LANE_WIDTH_M,
    NORTH_SOUTH_HALF_WIDTH_M,
    STOP_EAST_WEST_M,
    STOP_NORTH_SOUTH_M,
)

METRES_PER_PIXEL = 0.05
HALF_WIDTH_M, HALF_HEIGHT_M = 76.0, 50.0
SUN = np.array([0.55, -0.42])  # where shadows fall, metres a metre of height
PAVEMENT_M = 2.6
CORNER_M = 5.0
WHITE = (222.0, 224.0, 224.0)
YELLOW = (90.0, 190.0, 225.0)

PIXELS_FROM_WORLD = np.array(
    [
        [1 / METRES_PER_PIXEL, 0, HALF_WIDTH_M / METRES_PER_PIXEL],
        [0, -1 / METRES_PER_PIXEL, HALF_HEIGHT_M / METRES_PER_PIXEL],
        [0, 0, 1],
    ]
)


@dataclass(frozen=True)
class Landmark:
    """A corner of a marking that a person can click."""

    name: str
    x_m: float
    y_m: float


def landmarks() -> tuple[Landmark, ...]:
    """Ends of stop lines, and things on pavements and grass."""
    west, south = -STOP_EAST_WEST_M, -STOP_NORTH_SOUTH_M
    ew, ns = EAST_WEST_HALF_WIDTH_M, NORTH_SOUTH_HALF_WIDTH_M
    return (
        Landmark("stop line west, kerb", west, -ew + 0.3),
        Landmark("stop line east, kerb", -west, ew - 0.3),
        Landmark("stop line south, kerb", ns - 0.3, south),
        Landmark("stop line north, kerb", -ns + 0.3, -south),
        Landmark("manhole west", -41.0, 8.3),
        Landmark("manhole east", 44.0, -8.4),
        Landmark("box north-west", -30.0, 21.0),
        Landmark("box south-east", 34.0, -22.0),
        Landmark("box south-west", -36.0, -24.0),
        Landmark("box north-east", 30.0, 20.0),
    )


class _Canvas:
    """Draws in metres."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        size = (round(2 * HALF_HEIGHT_M / METRES_PER_PIXEL), round(2 * HALF_WIDTH_M / METRES_PER_PIXEL))
        self.picture = np.zeros((*size, 3), np.uint8)

    def noise(self, scales_px: tuple[float, ...], strengths: tuple[float, ...]) -> Floats:
        """Smooth noise of several sizes, as large as the canvas."""
        height, width = self.picture.shape[:2]
        total = np.zeros((height, width), np.float32)
        for scale, strength in zip(scales_px, strengths, strict=True):
            coarse = self.random.normal(size=(int(height / scale) + 3, int(width / scale) + 3)).astype(np.float32)
            total += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        return total

    def texture(self, mask: Picture, colour: tuple[float, float, float], noise: Floats) -> None:
        """Fill where `mask` is set."""
        where = mask > 0
        filled = np.asarray(colour, np.float32) + noise[where][:, None]
        self.picture[where] = np.clip(filled, 0, 255).astype(np.uint8)

    def blank(self) -> Picture:
        """An empty mask."""
        return np.zeros(self.picture.shape[:2], np.uint8)

    def polygon(self, points_m: Floats, colour: tuple[float, ...], target: Picture | None = None) -> None:
        """Fill a polygon."""
        onto = self.picture if target is None else target
        ends = np.column_stack([points_m, np.ones(len(points_m))]) @ PIXELS_FROM_WORLD.T
        cv2.fillPoly(onto, [np.round(ends[:, :2] * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: tuple[float, ...], target: Picture | None = None
    ) -> None:
        """Fill an upright rectangle."""
        self.polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), colour, target)

    def disc(self, x: float, y: float, radius: float, colour: tuple[float, ...]) -> None:
        """Fill a circle."""
        self.polygon(_ring(radius) + [x, y], colour)

    def shade(self, mask: Picture, strength: float, blur_px: float) -> None:
        """Darken where `mask` is set, softly."""
        soft = cv2.GaussianBlur(mask, (0, 0), blur_px).astype(np.float32) / 255 * strength
        self.picture = (self.picture * (1 - soft)[..., None]).astype(np.uint8)


def _ring(radius: float) -> Floats:
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    points: Floats = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return points


def _roads(canvas: _Canvas, margin_m: float) -> Picture:
    """Where the roads are, widened by a margin, with round corners."""
    mask = canvas.blank()
    ew, ns = EAST_WEST_HALF_WIDTH_M + margin_m, NORTH_SOUTH_HALF_WIDTH_M + margin_m
    canvas.box(-90, -ew, 90, ew, (255,), mask)
    canvas.box(-ns, -90, ns, 90, (255,), mask)
    corner = CORNER_M - margin_m
    for sx in (-1, 1):
        for sy in (-1, 1):
            angles = np.linspace(0, np.pi / 2, 14)
            arc = np.column_stack([ns + corner * (1 - np.sin(angles)), ew + corner * (1 - np.cos(angles))])
            canvas.polygon(np.vstack([[[ns, ew]], arc]) * [sx, sy], (255,), mask)
    return mask


def _markings(canvas: _Canvas) -> None:
    ew, ns = EAST_WEST_HALF_WIDTH_M, NORTH_SOUTH_HALF_WIDTH_M
    for side in (-1, 1):
        stop_ew, stop_ns = STOP_EAST_WEST_M, STOP_NORTH_SOUTH_M
        for offset in (-0.14, 0.14):
            canvas.box(side * 90, offset - 0.06, side * stop_ew, offset + 0.06, YELLOW)
            canvas.box(offset - 0.06, side * 90, offset + 0.06, side * stop_ns, YELLOW)
        for lane in (-LANE_WIDTH_M, LANE_WIDTH_M):
            for start in np.arange(stop_ew + 1, 90, 6.0):
                canvas.box(side * start, lane - 0.07, side * (start + 3), lane + 0.07, WHITE)
        for edge in (-1, 1):
            canvas.box(side * 90, edge * (ew - 0.35) - 0.06, side * (stop_ew + 0.5), edge * (ew - 0.35) + 0.06, WHITE)
        canvas.box(side * stop_ew, side * 0.3, side * (stop_ew + 0.45), side * (ew - 0.3), WHITE)
        canvas.box(-side * 0.3, side * stop_ns, -side * (ns - 0.3), side * (stop_ns + 0.45), WHITE)
        for stripe in np.arange(-ew + 0.5, ew - 0.4, 1.0):
            canvas.box(side * (stop_ew - 4.2), stripe, side * (stop_ew - 1.2), stripe + 0.5, WHITE)
        for stripe in np.arange(-ns + 0.4, ns - 0.4, 1.0):
            canvas.box(stripe, side * (stop_ns - 4.2), stripe + 0.5, side * (stop_ns - 1.2), WHITE)
        for lane in (0.5, 1.5):
            _arrow(canvas, side * (stop_ew + 9), side * lane * LANE_WIDTH_M, side)


def _arrow(canvas: _Canvas, x: float, y: float, side: int) -> None:
    shape = np.array([[2.4, 0.08], [-0.6, 0.08], [-0.6, 0.32], [-2.0, 0], [-0.6, -0.32], [-0.6, -0.08], [2.4, -0.08]])
    canvas.polygon(shape * [side, 1] + [x, y], WHITE)


def _wear(canvas: _Canvas) -> None:
    """Patches, joints and stains, so that the road is not one colour."""
    random = canvas.random
    for _ in range(26):
        x, y = random.uniform(-75, 75), random.uniform(-6.4, 5.0)
        if random.random() < 0.4:
            x, y = random.uniform(-3, 1.8), random.uniform(-48, 48)
        grey = float(random.uniform(78, 112))
        w, h = random.uniform(0.6, 3.5 if abs(y) < 6.5 else 1.2), random.uniform(0.3, 1.4)
        canvas.box(x, y, x + w, y + h, (grey, grey, grey))
    for _ in range(16):
        x = random.uniform(-75, 75)
        steps = np.cumsum(random.normal(0, 0.35, 12))
        line = np.column_stack([x + steps, np.linspace(-7, 7, 12)])
        canvas.polygon(np.vstack([line, (line + [0.07, 0])[::-1]]), (70.0, 70.0, 70.0))


def _roofs(canvas: _Canvas) -> None:
    plots = [
        (-66, 20, -36, 44),
        (22, 23, 50, 46),
        (-70, -46, -41, -22),
        (40, -47, 68, -25),
        (-24, -47, -14, -26),
        (55, 20, 74, 40),
    ]
    for x0, y0, x1, y1 in plots:
        height = float(canvas.random.uniform(4, 8))
        shade = canvas.blank()
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
        hull = cv2.convexHull(np.vstack([corners, corners + SUN * height]).astype(np.float32))[:, 0]
        canvas.polygon(hull.astype(np.float64), (255,), shade)
        canvas.shade(shade, 0.5, 3)
        base = canvas.random.uniform(95, 175)
        tint = canvas.random.normal(0, 9, 3)
        mask = canvas.blank()
        canvas.box(x0, y0, x1, y1, (255,), mask)
        canvas.texture(mask, tuple(base + tint), canvas.noise((3, 30), (3, 3)))
        edge = tuple(float(v) for v in np.clip(base + tint + 35, 0, 255))
        for a, b, c, d in (
            (x0, y0, x1, y0 + 0.4),
            (x0, y1 - 0.4, x1, y1),
            (x0, y0, x0 + 0.4, y1),
            (x1 - 0.4, y0, x1, y1),
        ):
            canvas.box(a, b, c, d, edge)
        for _ in range(int((x1 - x0) * (y1 - y0) / 45)):
            x, y = canvas.random.uniform(x0 + 2, x1 - 4), canvas.random.uniform(y0 + 2, y1 - 4)
            w, h = canvas.random.uniform(0.8, 2.6, 2)
            canvas.box(x + 0.5, y - 0.4, x + w + 0.5, y + h - 0.4, tuple([base * 0.55] * 3))
            canvas.box(x, y, x + w, y + h, tuple([float(canvas.random.uniform(130, 215))] * 3))


def _trees(canvas: _Canvas) -> None:
    random = canvas.random
    places = [(x, y) for x in np.arange(-70, 72, 5.2) for y in (13.5, -14.0, 17.5, -18.0)]
    places += [(x, y) for y in np.arange(-46, 48, 5.0) for x in (9.5, -9.5)]
    shade, crowns = canvas.blank(), []
    for place in places:
        centre = np.array(place) + random.normal(0, 0.6, 2)
        near_junction = abs(place[0]) < 13 and abs(place[1]) < 20
        near_landmark = any(np.hypot(*(centre - [mark.x_m, mark.y_m])) < 4.5 for mark in landmarks())
        if near_junction or near_landmark or random.random() < 0.45:
            continue
        radius = float(random.uniform(1.1, 2.2))
        canvas.polygon(_ring(radius) + centre + SUN * 3.0, (255,), shade)
        crowns.append((centre, radius))
    canvas.shade(shade, 0.45, 4)
    for centre, radius in crowns:
        for _ in range(26):
            x, y = centre + random.normal(0, radius * 0.42, 2)
            light = float(random.uniform(0.55, 1.35))
            canvas.disc(x, y, float(random.uniform(0.25, 0.6)), (42 * light, 88 * light, 66 * light))


def paint(seed: int) -> Picture:
    """The whole ground, METRES_PER_PIXEL fine, north up."""
    canvas = _Canvas(seed)
    everything = canvas.blank() + np.uint8(255)
    canvas.texture(everything, (72.0, 112.0, 100.0), canvas.noise((3, 14, 90, 400), (7, 6, 8, 10)))
    pavement = _roads(canvas, PAVEMENT_M)
    canvas.texture(pavement, (158.0, 164.0, 168.0), canvas.noise((2, 9, 60), (4, 3, 5)))
    canvas.texture(_roads(canvas, 0.25), (190.0, 192.0, 192.0), canvas.noise((2,), (4,)))
    asphalt = _roads(canvas, 0.0)
    canvas.texture(asphalt, (93.0, 92.0, 90.0), canvas.noise((2, 7, 60, 300), (4, 3, 3, 4)))
    _wear(canvas)
    _markings(canvas)
    _roofs(canvas)
    _trees(canvas)
    for mark in landmarks():
        if mark.name.startswith("manhole"):
            canvas.disc(mark.x_m, mark.y_m, 0.45, (52.0, 54.0, 56.0))
            canvas.disc(mark.x_m, mark.y_m, 0.22, (120.0, 122.0, 124.0))
        elif mark.name.startswith("box"):
            canvas.box(mark.x_m - 0.7, mark.y_m - 0.5, mark.x_m + 0.7, mark.y_m + 0.5, (60.0, 62.0, 64.0))
            canvas.box(mark.x_m - 0.35, mark.y_m - 0.25, mark.x_m + 0.35, mark.y_m + 0.25, (205.0, 208.0, 210.0))
    return canvas.picture
