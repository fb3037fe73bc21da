"""Draws vehicles as bodies with height, so that they lean away from the camera's foot and cast shadows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.simulation.camera import View
from tracker.simulation.traffic import Vehicle

# Most vehicles are white, silver, grey or black.
PAINTS: tuple[tuple[float, float, float], ...] = (
    (240, 240, 238), (232, 234, 234), (244, 244, 242), (205, 207, 208), (168, 170, 172), (112, 114, 116),
    (74, 74, 76), (40, 40, 42), (28, 28, 30), (34, 34, 36), (52, 46, 172), (150, 86, 38), (110, 62, 28),
    (60, 88, 60), (50, 190, 222), (196, 190, 180), (84, 76, 70), (226, 228, 228),
)  # fmt: skip
GLASS = np.array([46.0, 40.0, 34.0])
SCREEN = np.array([72.0, 60.0, 50.0])
LAMP = np.array([215.0, 225.0, 228.0])
TAIL = np.array([40.0, 34.0, 150.0])
# The sky lights shadows: they are less dark in blue.
SHADE_TINT = np.array([0.88, 0.97, 1.0], np.float32)


def _outline(length: float, width: float, cut: float = 0.22) -> Floats:
    """A rectangle with cut corners, centred on the origin, x forward."""
    x, y = length / 2, width / 2
    return np.array(
        [[x, y - cut], [x - cut, y], [-x + cut, y], [-x, y - cut], [-x, -y + cut], [-x + cut, -y], [x - cut, -y],
         [x, -y + cut]]
    )  # fmt: skip


def _rounded(length: float, width: float) -> Floats:
    """The outline of a car: a bowed front, a flatter rear, slightly waisted."""
    x, y = length / 2, width / 2
    front = [(x, 0.0), (x - 0.04, -0.45 * y), (x - 0.16, -0.76 * y), (x - 0.42, -0.93 * y), (x - 0.9, -y)]
    rear = [(0.0, -0.985 * y), (-x + 0.8, -y), (-x + 0.28, -0.95 * y), (-x + 0.08, -0.78 * y), (-x, -0.4 * y)]
    right = front + rear
    left = [(a, -b) for a, b in reversed(right[1:])]
    return np.array(right + left)


def _quad(x0: float, y0: float, x1: float, y1: float) -> Floats:
    """A trapezium, symmetric about x: half width y0 at x0, and y1 at x1."""
    return np.array([[x0, -y0], [x1, -y1], [x1, y1], [x0, y0]])


class _Body:
    """A vehicle on a frame."""

    def __init__(self, vehicle: Vehicle, view: View) -> None:
        self.vehicle, self.view = vehicle, view
        self.x, self.y, heading = vehicle.pose
        self.turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
        self.random = np.random.default_rng([vehicle.number, 11])
        self.colour = np.array(PAINTS[int(self.random.integers(len(PAINTS)))]) + self.random.normal(0, 4)

    def pixels(self, local: Floats, height_m: float) -> Floats:
        """Points of the vehicle, n x 2, at a height, in the image."""
        flat = local @ self.turn.T + [self.x, self.y]
        return self.view.pixels(np.column_stack([flat, np.full(len(flat), height_m)]))

    def shadow(self, fall: Floats) -> Floats:
        """The outline of the shadow, in the image."""
        vehicle = self.vehicle
        if vehicle.kind == "two_wheeler":
            base, top = _outline(vehicle.length_m, 0.3, 0.1), _outline(0.7, 0.6, 0.2)
        else:
            base = _rounded(vehicle.length_m, vehicle.width_m)
            top = _outline((0.62 if vehicle.kind == "car" else 0.96) * vehicle.length_m, 0.88 * vehicle.width_m)
        moved = top + (fall * vehicle.height_m) @ self.turn
        ends = np.vstack([self.pixels(base, 0.0), self.pixels(moved, 0.0)]).astype(np.float32)
        hull: Floats = cv2.convexHull(ends)[:, 0].astype(np.float64)
        return hull

    def draw(self, picture: Picture) -> None:
        """Paint the vehicle."""
        draw = {"car": self._car, "van": self._van, "truck": self._truck, "bus": self._bus}
        draw.get(self.vehicle.kind, self._two_wheeler)(picture)

    def _solid(self, picture: Picture, low: Floats, low_m: float, high: Floats, high_m: float, side: Floats) -> None:
        """The sides of a body between two outlines; its top is painted later."""
        both = np.vstack([self.pixels(low, low_m), self.pixels(high, high_m)]).astype(np.float32)
        _fill(picture, cv2.convexHull(both)[:, 0].astype(np.float64), side)

    def _flat(self, picture: Picture, local: Floats, height_m: float, colour: Floats) -> None:
        _fill(picture, self.pixels(local, height_m), np.clip(colour, 0, 250))

    def _prism(self, picture: Picture, outline: Floats, low_m: float, high_m: float, colour: Floats) -> None:
        self._solid(picture, outline, low_m, outline, high_m, colour * 0.6)
        self._flat(picture, outline, high_m, colour)

    def _lamps(self, picture: Picture, height_m: float) -> None:
        length, width = self.vehicle.length_m, self.vehicle.width_m
        for side in (-1, 1):
            front = np.array([[0.478, 0.40], [0.487, 0.26], [0.462, 0.28], [0.44, 0.43]]) * [length, side * width]
            rear = np.array([[-0.492, 0.40], [-0.496, 0.24], [-0.478, 0.24], [-0.462, 0.43]]) * [length, side * width]
            self._flat(picture, front, height_m, LAMP)
            self._flat(picture, rear, height_m, TAIL)

    def _car(self, picture: Picture) -> None:
        length, width, height = self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m
        colour, tall = self.colour, height > 1.55
        belt = 0.62 * height
        plan = _rounded(length, width)
        self._solid(picture, plan, 0.15, plan * [0.99, 0.97], belt * 0.9, colour * 0.55)
        self._flat(picture, plan * [0.985, 0.96], belt * 0.9, colour * 0.94)
        # Bonnet and boot are lighter in the middle than at the wings.
        self._flat(picture, _quad(0.20 * length, 0.36 * width, 0.46 * length, 0.30 * width), belt, colour * 1.01)
        if not tall:
            self._flat(picture, _quad(-0.47 * length, 0.36 * width, -0.34 * length, 0.38 * width), belt, colour)
        self._lamps(picture, belt * 0.85)
        back, roof_back = (-0.47, -0.41) if tall else (-0.36, -0.24)
        front, roof_front = 0.23, 0.09
        cabin = np.vstack([_quad(back * length, 0.40 * width, front * length, 0.43 * width)])
        roof = _quad(roof_back * length, 0.34 * width, roof_front * length, 0.36 * width)
        self._solid(picture, cabin, belt, roof, height, GLASS)
        corners = [self.pixels(cabin, belt), self.pixels(roof, height)]
        screen = np.array([corners[0][1], corners[0][2], corners[1][2], corners[1][1]])
        _fill(picture, screen, SCREEN)
        for at in range(4):
            _line(picture, corners[0][at], corners[1][at], colour * 0.8, 0.07 * self.scale())
        self._flat(picture, roof, height, colour * 1.03)
        self._flat(picture, roof * [0.9, 0.86], height + 0.02, np.minimum(colour * 1.03 + 5, 250))
        kind = self.random.random()
        if kind < 0.2:
            self._flat(picture, _quad(-0.16 * length, 0.27 * width, 0.05 * length, 0.28 * width), height, GLASS)
        elif kind < 0.28:
            self._prism(picture, _outline(0.35, 0.9, 0.05), height, height + 0.15, np.array([60.0, 190, 235]))
        for side in (-1, 1):
            mirror = np.array([[0.19, 0.47], [0.20, 0.56], [0.165, 0.56], [0.165, 0.47]]) * [length, side * width]
            self._flat(picture, mirror, belt, colour * 0.7)

    def _van(self, picture: Picture) -> None:
        length, width, height = self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m
        colour = self.colour if self.random.random() < 0.35 else np.array([236.0, 238, 238])
        plan = _rounded(length, width)
        self._solid(picture, plan, 0.2, plan, 0.45 * height, colour * 0.55)
        self._flat(picture, plan * [0.985, 0.97], 0.45 * height, colour * 0.95)
        self._lamps(picture, 0.4 * height)
        low = _quad(-0.49 * length, 0.47 * width, 0.36 * length, 0.46 * width)
        roof = _quad(-0.485 * length, 0.43 * width, 0.20 * length, 0.42 * width)
        self._solid(picture, low, 0.45 * height, roof, height, colour * 0.6)
        below, above = self.pixels(low, 0.5 * height), self.pixels(roof, 0.96 * height)
        _fill(picture, np.array([below[1], below[2], above[2], above[1]]), SCREEN)
        self._flat(picture, roof, height, colour)
        for place in (-0.3, -0.1, 0.1):
            self._flat(
                picture, _quad(place * length, 0.36 * width, place * length + 0.06, 0.36 * width), height, colour * 0.9
            )

    def _truck(self, picture: Picture) -> None:
        length, width, height = self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m
        cab, cab_height = 2.0, 0.8 * height
        colour = self.colour
        front = _outline(cab, 0.95 * width, 0.14) + [length / 2 - cab / 2, 0]
        self._prism(picture, front, 0.25, cab_height, colour)
        x = length / 2
        low, high = _quad(x - 0.02, 0.44 * width, x - 0.5, 0.42 * width), cab_height
        self._flat(picture, low, high, SCREEN)
        self._flat(picture, _outline(0.5, 0.7, 0.05) + [x - 1.3, 0], high + 0.02, colour * 0.85)
        back = _outline(length - cab - 0.2, width, 0.03) + [-(cab + 0.2) / 2, 0]
        if self.random.random() < 0.6:
            load = np.array([226.0, 228, 228]) if self.random.random() < 0.6 else np.clip(colour * 0.55 + 95, 0, 245)
            self._prism(picture, back, 0.25, height, load)
            self._flat(picture, back * [0.985, 0.95] - [0.012, 0], height, load * 0.97)
            return
        # An open bed with a load.
        self._prism(picture, back, 0.25, 1.5, colour * 0.9)
        self._flat(picture, back * [0.96, 0.9], 1.1, np.array([70.0, 74, 78]))
        for _ in range(6):
            place = self.random.uniform([-0.42, -0.28], [0.2, 0.28]) * [length, width]
            size = self.random.uniform([0.5, 0.4], [1.4, 0.9])
            box = _outline(float(size[0]), float(size[1]), 0.04) + place
            self._prism(picture, box, 1.1, 1.1 + self.random.uniform(0.2, 0.6), self.random.uniform(60, 200, 3))

    def _bus(self, picture: Picture) -> None:
        length, width, height = self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m
        paints = np.array([[168.0, 92, 34], [70, 150, 70], [60, 60, 190], [225, 228, 228], [90, 180, 215]])
        colour = paints[int(self.random.integers(len(paints)))]
        plan = _outline(length, width, 0.18)
        self._solid(picture, plan, 0.25, plan, height, GLASS * 1.1)
        self._flat(picture, plan, height, colour)
        self._flat(
            picture, _outline(0.97 * length, 0.86 * width, 0.12), height + 0.03, np.minimum(colour * 1.1 + 8, 245)
        )
        self._flat(picture, _quad(0.485 * length, 0.42 * width, 0.5 * length, 0.40 * width), height - 0.1, SCREEN)
        pale = np.minimum(colour * 0.6 + 90, 240)
        self._prism(picture, _outline(2.6, 1.7, 0.1) + [-0.2 * length, 0], height, height + 0.25, pale)
        for place in (-0.42, 0.05, 0.3):
            self._prism(picture, _outline(0.9, 0.9, 0.06) + [place * length, 0], height, height + 0.1, pale * 0.85)

    def _two_wheeler(self, picture: Picture) -> None:
        length, width, height = self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m
        dark, cloth = np.array([44.0, 42, 42]), self.random.uniform(40, 210, 3)
        self._prism(picture, _quad(-length / 2, 0.10, length / 2, 0.09), 0.05, 0.6, dark)
        self._prism(picture, _outline(1.2, 0.34, 0.12) + [0.1, 0], 0.4, 0.85, self.colour)
        self._flat(picture, _quad(0.28 * length, width / 2, 0.31 * length, width / 2), 1.0, dark * 1.4)
        if self.random.random() < 0.5:
            self._prism(
                picture, _outline(0.5, 0.48, 0.04) + [-0.36 * length, 0], 0.8, 1.25, self.random.uniform(40, 220, 3)
            )
        self._prism(picture, _outline(0.42, 0.56, 0.14) + [-0.06, 0], 0.8, height - 0.25, cloth)
        for side in (-1, 1):
            arm = np.array([[0.0, 0.2], [0.0, 0.3], [0.5, 0.34], [0.5, 0.26]]) * [1, side]
            self._flat(picture, arm, 1.15, cloth * 0.9)
        self._prism(picture, _outline(0.27, 0.25, 0.08), height - 0.2, height, self.random.uniform(30, 240, 3))

    def scale(self) -> float:
        """Pixels per metre, approximately."""
        return float(self.view.intrinsics[0, 0] / self.view.position_m[2])


def _fill(picture: Picture, points_px: Floats, colour: Sequence[float] | Floats) -> None:
    cv2.fillPoly(picture, [np.round(points_px * 16).astype(np.int32)], [float(v) for v in colour], cv2.LINE_AA, 4)


def _line(picture: Picture, start: Floats, end: Floats, colour: Floats, width_px: float) -> None:
    along = end - start
    across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) * width_px / 2
    _fill(picture, np.array([start + across, end + across, end - across, start - across]), np.clip(colour, 0, 250))


def cast_shadows(picture: Picture, outlines: Sequence[Floats], blurs_px: Sequence[float], strength: float) -> None:
    """Darken the image inside outlines (n x 2 pixels each), softly; overlapping shadows count once."""
    height, width = picture.shape[:2]
    shade = np.zeros((height, width), np.uint8)
    areas = []
    for outline, blur in zip(outlines, blurs_px, strict=True):
        pad = int(3 * blur) + 2
        left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - pad, 0).tolist()
        right, bottom = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + pad, [width, height]).tolist()
        if left >= right or top >= bottom:
            continue
        area = np.s_[top:bottom, left:right]
        mask = np.zeros((bottom - top, right - left), np.uint8)
        _fill(mask, outline - [left, top], (255,))
        np.maximum(shade[area], cv2.GaussianBlur(mask, (0, 0), blur), out=shade[area])
        areas.append(area)
    keep = 1 - strength * SHADE_TINT[None] * np.arange(256, dtype=np.float32)[:, None] / 255
    table = np.round(255 * keep).astype(np.uint8)[:, None]
    for area in areas:
        light = cv2.LUT(cv2.merge([shade[area]] * 3), table)
        picture[area] = cv2.multiply(picture[area], light, scale=1 / 255)
        shade[area] = 0


def draw_vehicles(picture: Picture, vehicles: Sequence[Vehicle], view: View, fall: Floats, strength: float) -> None:
    """Add all shadows, then all vehicles, the ones furthest from the camera's foot first."""
    foot = view.position_m[:2]
    bodies = sorted(
        (_Body(vehicle, view) for vehicle in vehicles),
        key=lambda body: -float(np.hypot(body.x - foot[0], body.y - foot[1])),
    )
    shadows = [body.shadow(fall) for body in bodies]
    blurs = [max(0.6, (0.03 + 0.02 * body.vehicle.height_m) * body.scale()) for body in bodies]
    cast_shadows(picture, shadows, blurs, strength)
    for body in bodies:
        body.draw(picture)
