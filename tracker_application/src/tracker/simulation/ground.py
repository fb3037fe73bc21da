"""The ground as an image: asphalt, markings, pavements, grass, roofs and trees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.simulation.light import Sun
from tracker.simulation.streets import (
    BAY_LENGTH_M,
    BAY_WIDTH_M,
    EAST_WEST_HALF_WIDTH_M,
    LANE_WIDTH_M,
    NORTH_SOUTH_HALF_WIDTH_M,
    STOP_EAST_WEST_M,
    STOP_NORTH_SOUTH_M,
    STOP_STRAIGHT_M,
    STRAIGHT_HALF_WIDTH_M,
    Scene,
)
from tracker.simulation.trees import Tree, ring

METRES_PER_PIXEL = 0.04
HALF_WIDTH_M, HALF_HEIGHT_M = 76.0, 50.0
PAVEMENT_M = 2.6
CORNER_M = 5.0
WHITE = (222.0, 224.0, 224.0)
YELLOW = (90.0, 190.0, 225.0)
SHADE_STEPS = 64

PIXELS_FROM_WORLD = np.array(
    [
        [1 / METRES_PER_PIXEL, 0, HALF_WIDTH_M / METRES_PER_PIXEL],
        [0, -1 / METRES_PER_PIXEL, HALF_HEIGHT_M / METRES_PER_PIXEL],
        [0, 0, 1],
    ]
)


@dataclass(eq=False)
class Ground:
    """The ground without shadows at METRES_PER_PIXEL, north up; and the shadows of everything on it."""

    bare: Picture
    shade: Picture
    trees: tuple[Tree, ...]
    _lit: tuple[int, Picture] | None = None

    def lit(self, strength: float) -> Picture:
        """The ground with shadows at one of SHADE_STEPS strengths."""
        step = round(strength * SHADE_STEPS)
        if self._lit is None or self._lit[0] != step:
            table = np.round(255 * (1 - step / SHADE_STEPS * np.arange(256) / 255)).astype(np.uint8)
            light = cv2.merge([cv2.LUT(self.shade, table)] * 3)
            self._lit = (step, cv2.multiply(self.bare, light, scale=1 / 255))
        return self._lit[1]


@dataclass(frozen=True)
class Landmark:
    """A corner of a marking that a person can click."""

    name: str
    x_m: float
    y_m: float


def landmarks(scene: Scene) -> tuple[Landmark, ...]:
    """Ends of stop lines, and objects on pavements and grass."""
    if scene.name == "straight":
        stop, edge = STOP_STRAIGHT_M, STRAIGHT_HALF_WIDTH_M
        return (
            Landmark("stop line west, kerb", -stop, -edge + 0.3),
            Landmark("stop line east, kerb", stop, edge - 0.3),
            Landmark("manhole west", -14.0, 11.9),
            Landmark("manhole east", 13.0, -11.8),
            Landmark("box north-west", -44.0, 19.0),
            Landmark("box south-east", 46.0, -20.5),
            Landmark("box south-west", -40.0, -24.0),
            Landmark("box north-east", 42.0, 21.0),
        )
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

    def __init__(self, seed: int, scene: Scene, sun: Sun) -> None:
        self.random = np.random.default_rng(seed)
        self.scene, self.sun = scene, sun
        size = (round(2 * HALF_HEIGHT_M / METRES_PER_PIXEL), round(2 * HALF_WIDTH_M / METRES_PER_PIXEL))
        self.picture = np.zeros((*size, 3), np.uint8)
        self.shade = np.zeros(size, np.uint8)

    def texture(
        self, mask: Picture, colour: tuple[float, ...], scales_px: tuple[float, ...], strengths: tuple[float, ...]
    ) -> None:
        """Fill the `mask` with a colour and smooth noise of several sizes."""
        left, top, width, height = cv2.boundingRect(mask)
        total = np.zeros((height, width), np.float32)
        for scale, strength in zip(scales_px, strengths, strict=True):
            size = (int(height / scale) + 3, int(width / scale) + 3)
            coarse = strength * self.random.standard_normal(size, np.float32)
            total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        filled = np.clip(np.rint(total[..., None] + np.asarray(colour, np.float32)), 0, 255).astype(np.uint8)
        area = np.s_[top : top + height, left : left + width]
        cv2.copyTo(filled, mask[area], self.picture[area])

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
        """Fill an axis-aligned rectangle."""
        self.polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), colour, target)

    def disc(self, x: float, y: float, radius: float, colour: tuple[float, ...]) -> None:
        """Fill a circle."""
        self.polygon(ring(radius) + [x, y], colour)

    def cast(self, mask: Picture, blur_px: float) -> None:
        """Put a soft shadow on the `mask`."""
        cv2.max(self.shade, cv2.GaussianBlur(mask, (0, 0), blur_px), dst=self.shade)


def _roads(canvas: _Canvas, margin_m: float) -> Picture:
    """The area of the roads, widened by a margin, with round corners."""
    mask = canvas.blank()
    for x, y, _ in canvas.scene.bays:
        along, across = BAY_LENGTH_M / 2 + margin_m, BAY_WIDTH_M / 2 + margin_m
        canvas.box(x - along, y - across, x + along, y + across, (255,), mask)
    if canvas.scene.name == "straight":
        edge = STRAIGHT_HALF_WIDTH_M + margin_m
        canvas.box(-90, -edge, 90, edge, (255,), mask)
        return mask
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


def _bay_lines(canvas: _Canvas) -> None:
    for x, y, _ in canvas.scene.bays:
        for end in (x - BAY_LENGTH_M / 2, x + BAY_LENGTH_M / 2):
            canvas.box(end - 0.05, y - BAY_WIDTH_M / 2, end + 0.05, y + BAY_WIDTH_M / 2, WHITE)


def _straight_markings(canvas: _Canvas) -> None:
    edge, stop = STRAIGHT_HALF_WIDTH_M, STOP_STRAIGHT_M
    for side in (-1, 1):
        for offset in (-0.14, 0.14):
            canvas.box(side * 90, offset - 0.06, side * stop, offset + 0.06, YELLOW)
        for lane in (-2, -1, 1, 2):
            for start in np.arange(stop + 1, 90, 6.0):
                y = lane * LANE_WIDTH_M
                canvas.box(side * start, y - 0.07, side * (start + 3), y + 0.07, WHITE)
        for kerb in (-1, 1):
            y = kerb * (edge - 0.12)
            canvas.box(side * 90, y - 0.06, side * (stop + 0.5), y + 0.06, WHITE)
        canvas.box(side * stop, side * 0.3, side * (stop + 0.45), side * (edge - 0.3), WHITE)
        for place in (0.5, 1.5, 2.5):
            _arrow(canvas, side * (stop + 9), side * place * LANE_WIDTH_M, side)
    for stripe in np.arange(-edge + 0.5, edge - 0.4, 1.0):
        canvas.box(-2.0, stripe, 2.0, stripe + 0.5, WHITE)


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


def _slabs(canvas: _Canvas, pavement: Picture) -> None:
    """The joints of the pavement."""
    step = round(0.8 / METRES_PER_PIXEL)
    joints = canvas.blank()
    joints[::step], joints[:, ::step] = 255, 255
    where = (joints & pavement) > 0
    canvas.picture[where] = (canvas.picture[where] * 0.88).astype(np.uint8)


def _wear(canvas: _Canvas, road_grey: float) -> None:
    """Patches, joints and stains, so that the road does not have one colour."""
    random = canvas.random
    for _ in range(26):
        x, y = random.uniform(-75, 75), random.uniform(-6.4, 5.0)
        if canvas.scene.name == "crossroads" and random.random() < 0.4:
            x, y = random.uniform(-3, 1.8), random.uniform(-48, 48)
        grey = road_grey + float(random.uniform(-14, 14))
        w, h = random.uniform(0.6, 3.5 if abs(y) < 6.5 else 1.2), random.uniform(0.3, 1.4)
        canvas.box(x, y, x + w, y + h, (grey, grey, grey))
    for _ in range(16):
        x = random.uniform(-75, 75)
        steps = np.cumsum(random.normal(0, 0.35, 12))
        edge = EAST_WEST_HALF_WIDTH_M if canvas.scene.name == "crossroads" else STRAIGHT_HALF_WIDTH_M
        line = np.column_stack([x + steps, np.linspace(-edge, edge, 12)])
        dark = road_grey - 22
        canvas.polygon(np.vstack([line, (line + [0.07, 0])[::-1]]), (dark, dark, dark))


def _roofs(canvas: _Canvas) -> None:
    plots = [
        (-66, 20, -36, 44),
        (22, 23, 50, 46),
        (-70, -46, -41, -22),
        (40, -47, 68, -25),
        (-24, -47, -14, -26),
        (55, 20, 74, 40),
    ]
    if canvas.scene.name == "straight":
        plots = [(x0, y0 + 5, x1, y1 + 5) if y0 > 0 else (x0, y0 - 4, x1, y1 - 4) for x0, y0, x1, y1 in plots]
    for x0, y0, x1, y1 in plots:
        height = float(canvas.random.uniform(4, 8))
        shade = canvas.blank()
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
        hull = cv2.convexHull(np.vstack([corners, corners + canvas.sun.shadow * height]).astype(np.float32))[:, 0]
        canvas.polygon(hull.astype(np.float64), (255,), shade)
        canvas.cast(shade, 3)
        base = canvas.random.uniform(95, 175)
        tint = canvas.random.normal(0, 9, 3)
        mask = canvas.blank()
        canvas.box(x0, y0, x1, y1, (255,), mask)
        canvas.shade[mask > 0] = 0
        canvas.texture(mask, tuple(base + tint), (3, 30), (3, 3))
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


def _places_of_trees(canvas: _Canvas, *, near: bool) -> tuple[Tree, ...]:
    """Rows along the roads; `near`: also so close that they hang over the kerb."""
    random, scene = canvas.random, canvas.scene
    rows = [13.5, 17.5] if scene.name == "crossroads" else [16.5, 20.5]
    places = [(x, side * y) for x in np.arange(-70, 72, 5.2) for y in rows for side in (-1, 1)]
    if scene.name == "crossroads":
        places += [(x, y) for y in np.arange(-46, 48, 5.0) for x in (9.5, -9.5)]
    kerb = EAST_WEST_HALF_WIDTH_M if scene.name == "crossroads" else STRAIGHT_HALF_WIDTH_M
    places += [(x, side * (kerb + 1.3)) for x in np.arange(-66, 68, 9.0) for side in (-1, 1)] if near else []
    trees = []
    for place in places:
        centre = np.array(place) + random.normal(0, 0.5, 2)
        near_junction = abs(place[0]) < 16 and abs(place[1]) < 20 and scene.name == "crossroads"
        near_landmark = any(np.hypot(*(centre - [mark.x_m, mark.y_m])) < 5.5 for mark in landmarks(scene))
        in_a_bay = any(abs(x - centre[0]) < 5.5 and abs(y - centre[1]) < 3 for x, y, _ in scene.bays)
        if near_junction or near_landmark or in_a_bay or random.random() < 0.4:
            continue
        trees.append(Tree.grown(random, centre, float(random.uniform(1.3, 2.4))))
    return tuple(trees)


def paint(scene: Scene, seed: int, sun: Sun, *, swaying: bool = False) -> Ground:
    """The whole ground. Swaying trees are not part of it: they are drawn on each frame."""
    canvas = _Canvas(seed, scene, sun)
    everything = canvas.blank() + np.uint8(255)
    dry = float(canvas.random.uniform(-14, 22))
    canvas.texture(everything, (72.0, 112.0, 100.0 + dry), (3, 14, 90, 400), (7, 6, 8, 10))
    pavement = _roads(canvas, PAVEMENT_M)
    canvas.texture(pavement, (158.0, 164.0, 168.0), (2, 9, 60), (4, 3, 5))
    _slabs(canvas, pavement)
    canvas.texture(_roads(canvas, 0.25), (190.0, 192.0, 192.0), (2,), (4,))
    asphalt = _roads(canvas, 0.0)
    grey = float(canvas.random.uniform(88, 138))
    canvas.texture(asphalt, (grey + 2, grey + 1, grey), (2, 7, 60, 300), (4, 3, 3, 5))
    _wear(canvas, grey)
    if scene.name == "straight":
        _straight_markings(canvas)
    else:
        _markings(canvas)
    _bay_lines(canvas)
    _roofs(canvas)
    trees = _places_of_trees(canvas, near=swaying)
    if not swaying:
        mask = canvas.blank()
        for tree in trees:
            canvas.polygon(tree.shadow(sun.shadow, 0.0, gusts=0.0), (255,), mask)
        canvas.cast(mask, 3)
        for tree in trees:
            places, radii, colours = tree.leaves(0.0, gusts=0.0)
            for (x, y, _), radius, colour in zip(places.tolist(), radii.tolist(), colours.tolist(), strict=True):
                canvas.disc(x, y, radius, tuple(colour))
    for mark in landmarks(scene):
        if mark.name.startswith("manhole"):
            canvas.disc(mark.x_m, mark.y_m, 0.45, (52.0, 54.0, 56.0))
            canvas.disc(mark.x_m, mark.y_m, 0.22, (120.0, 122.0, 124.0))
        elif mark.name.startswith("box"):
            canvas.box(mark.x_m - 0.7, mark.y_m - 0.5, mark.x_m + 0.7, mark.y_m + 0.5, (60.0, 62.0, 64.0))
            canvas.box(mark.x_m - 0.35, mark.y_m - 0.25, mark.x_m + 0.35, mark.y_m + 0.25, (205.0, 208.0, 210.0))
    return Ground(canvas.picture, canvas.shade, trees if swaying else ())
