"""Vehicles to draw on a canvas, each different: paint, shape, glass, loads, riders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from canvas import SOFT_EDGE_PX, Canvas, Floats, box, disc, placed, rounded

CAR, TRUCK_BUS, TWO_WHEELER = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Vehicle:
    """A vehicle to draw. `shape` draws it and returns the corners of its silhouette."""

    kind: int
    length_m: float
    width_m: float
    height_m: float
    shape: Callable[[_Pen], None]


class _Pen:
    """Draws in the vehicle's own metres, x forward."""

    def __init__(self, canvas: Canvas, vehicle: Vehicle, x: float, y: float, angle: float) -> None:
        self.canvas, self.random = canvas, canvas.random
        self.length, self.width, self.height = vehicle.length_m, vehicle.width_m, vehicle.height_m
        self.at = (x, y, angle)
        self.seen: list[Floats] = []

    def solid(self, base: Floats, top: Floats, low: float, high: float, side: Floats, cover: Floats) -> None:
        corners = self.canvas.solid(placed(base, *self.at), placed(top, *self.at), low, high, side, cover)
        self.seen.append(corners)

    def flat(self, points: Floats, height: float, colour: Floats) -> None:
        self.canvas.polygon(placed(points, *self.at), np.clip(colour, 0, 255), height)

    def shaded(self, size: tuple[float, float], x: float, height: float, colour: Floats) -> None:
        """A curved sheet like a roof: brightness varies across and along; dark paint reflects the sky."""
        random = self.random
        sky = np.array([1.0, 0.9, 0.8]) * random.uniform(0, 70) * max(0.0, 1 - colour.mean() / 130)
        slope, bow, run = random.normal(0, 0.09), random.uniform(-0.12, 0.12), random.normal(0, 0.06)
        strips, parts = 5, 3
        for part in range(parts):
            for strip in range(strips):
                across, along = 2 * (strip + 0.5) / strips - 1, 2 * (part + 0.5) / parts - 1
                light = 1 + slope * across + bow * (1 - 2 * across**2) + run * along
                piece = box(size[0] / parts, size[1] / strips, x + along * size[0] / 2, across * size[1] / 2)
                self.flat(piece, height, colour * light + sky * (0.6 + 0.4 * (light > 1)) + 30 * (light - 1))


def draw(canvas: Canvas, vehicle: Vehicle, x: float, y: float, angle: float) -> Floats:
    """Draw it; returns x, y, length, width (fine pixels) of the enclosing box along its axis, and the angle."""
    pen = _Pen(canvas, vehicle, x, y, angle)
    vehicle.shape(pen)
    own = np.vstack(pen.seen) @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    least, most = own.min(0), own.max(0)
    centre = placed(((least + most) / 2)[None], 0, 0, angle)[0]
    return np.array([*centre, *(most - least + 2 * SOFT_EDGE_PX), angle])


def cast(canvas: Canvas, vehicle: Vehicle, x: float, y: float, angle: float) -> None:
    """Cast its shadow on the ground."""
    if vehicle.kind == TWO_WHEELER:
        canvas.shadow(placed(box(vehicle.length_m, 0.25), x, y, angle), 0, 0.8)
        canvas.shadow(placed(disc(0.25), x, y, angle), 0.6, vehicle.height_m)
        return
    canvas.shadow(placed(box(vehicle.length_m * 0.97, vehicle.width_m * 0.96), x, y, angle), 0, vehicle.height_m * 0.62)
    narrow = placed(box(vehicle.length_m * 0.6, vehicle.width_m * 0.8, -0.05 * vehicle.length_m), x, y, angle)
    whole = placed(box(vehicle.length_m * 0.97, vehicle.width_m * 0.96), x, y, angle)
    canvas.shadow(narrow if vehicle.kind == CAR else whole, 0, vehicle.height_m)


def any_vehicle(random: np.random.Generator) -> Vehicle:
    """A random vehicle, with more large ones and two-wheelers than in real traffic, so that they are learned, too."""
    return (_car if (drawn := random.random()) < 0.64 else _large if drawn < 0.84 else _two_wheeler)(random)


def any_car(random: np.random.Generator) -> Vehicle:
    """A car, as in rows of parked ones."""
    return _car(random)


def paint(random: np.random.Generator) -> Floats:
    """The colour of a body, BGR."""
    drawn = random.random()
    if drawn < 0.33:
        return np.full(3, random.uniform(195, 255)) + random.normal(0, 4, 3)
    if drawn < 0.58:
        return np.full(3, random.uniform(14, 58)) + random.normal(0, 4, 3)
    if drawn < 0.79:
        return np.full(3, random.uniform(60, 185)) + random.normal(0, 6, 3)
    return colourful(random)


def colourful(random: np.random.Generator) -> Floats:
    """Any strong colour."""
    hue = int(random.choice([0, 4, 12, 22, 28, 45, 60, 85, 98, 105, 112, 120, 150, 175]))
    shade = np.array([[[hue, random.integers(80, 250), random.integers(50, 245)]]], np.uint8)
    return cv2.cvtColor(shade, cv2.COLOR_HSV2BGR)[0, 0].astype(float)


def _glass(random: np.random.Generator) -> Floats:
    sky = random.random() < 0.2
    grey = random.uniform(80, 150) if sky else random.uniform(10, 70)
    return np.full(3, grey) + np.array([random.uniform(0, 28), random.uniform(0, 12), 0])


def _car(random: np.random.Generator) -> Vehicle:
    style = random.choice(["saloon", "hatch", "suv", "van", "pickup"], p=[0.36, 0.22, 0.27, 0.11, 0.04])
    length = random.uniform(*{"saloon": (4.3, 5.2), "hatch": (3.4, 4.4), "suv": (4.1, 5.0), "van": (4.5, 5.6),
                              "pickup": (4.8, 5.6)}[style])  # fmt: skip
    height = random.uniform(*{"suv": (1.6, 1.85), "van": (1.8, 2.3), "pickup": (1.7, 1.9)}.get(style, (1.38, 1.58)))
    width = random.uniform(1.62, 1.85) if style == "hatch" else random.uniform(1.75, 2.05)
    return Vehicle(CAR, length, width, height, lambda pen: _draw_car(pen, str(style)))


def _bowed(outline: Floats, front_m: float, back_m: float) -> Floats:
    """The outline of a car from a rounded rectangle: its ends are bowed in the middle."""
    half = len(outline) // 2
    rear, nose = outline[[half - 1, half]], outline[[-1, 0]]
    shares = np.linspace(0, 1, 5)[1:-1, None]
    bowed = np.vstack([outline[:half], rear[0] + shares * (rear[1] - rear[0]), outline[half:],
                      nose[0] + shares * (nose[1] - nose[0])])  # fmt: skip
    depth = (bowed[:, 1] / np.abs(bowed[:, 1]).max()) ** 2
    bowed[:, 0] += np.where(bowed[:, 0] > 0, -front_m, back_m) * depth
    return bowed


def _draw_car(pen: _Pen, style: str) -> None:
    random, length, width, height = pen.random, pen.length, pen.width, pen.height
    colour, glass = paint(random), _glass(random)
    belt = height * random.uniform(0.55, 0.66)
    front, back = random.uniform(0.25, 0.5) * width, random.uniform(0.12, 0.32) * width
    outline = _bowed(rounded(length, width, front, back), random.uniform(0, 0.3), random.uniform(0, 0.15))
    skirt = np.full(3, 25.0) if random.random() < 0.5 else colour * random.uniform(0.4, 0.9)
    pen.solid(outline, outline, 0.08, 0.3, skirt, skirt)
    pen.solid(outline, outline * [0.985, 0.96], 0.25, belt * 0.93, colour * 0.85, colour)
    hood = colour * random.uniform(0.86, 1.1)
    screen = random.uniform(0.17, 0.27) * length if style != "van" else random.uniform(0.3, 0.4) * length
    pen.flat(rounded(0.47 * length - screen, width * 0.8, 0.3, 0.05, (0.47 * length + screen) / 2), belt * 0.95, hood)
    if shiny := random.random() < 0.6:
        pen.shaded((0.43 * length - screen, width * 0.76), (0.45 * length + screen) / 2, belt * 0.95, hood)
    if random.random() < 0.4:
        for side in (-1, 1):
            crease = np.array([[screen, side * 0.3 * width], [0.46 * length, side * 0.2 * width]])
            pen.flat(np.vstack([crease, crease[::-1] + [0, 0.07]]), belt, colour * random.uniform(0.75, 1.3))
    tails = {"saloon": (-0.40, -0.30), "hatch": (-0.48, -0.43), "suv": (-0.485, -0.44), "van": (-0.49, -0.47)}
    tail = random.uniform(*tails.get(style, (0.0, 0.0))) * length
    if style == "pickup":
        tail = random.uniform(-0.12, -0.05) * length
        bed = box(0.45 * length - abs(tail), width * 0.8, -(0.47 * length + abs(tail)) / 2)
        cargo = colourful(random) if random.random() < 0.3 else np.full(3, random.uniform(15, 90))
        pen.flat(bed, belt, cargo)
    _cabin(pen, colour, glass, screen, tail, belt, shiny=shiny)
    if random.random() < 0.55:
        white = random.uniform(170, 245)
        lamp = np.array([[0.49, 0.40], [0.49, 0.24], [0.44, 0.3], [0.44, 0.44]]) * [length, width]
        rear = np.array([[-0.49, 0.42], [-0.49, 0.25], [-0.47, 0.26], [-0.46, 0.44]]) * [length, width]
        braking = random.random() < 0.3
        for side in (-1, 1):
            pen.flat(lamp * [1, side], belt * 0.85, np.full(3, white))
            pen.flat(rear * [1, side], belt * 0.9, np.array([40, 40, 230.0] if braking else [35, 30, 130]))


def _cabin(pen: _Pen, colour: Floats, glass: Floats, screen: float, tail: float, belt: float, *, shiny: bool) -> None:
    """Windows all around, and the roof."""
    random, length, width, height = pen.random, pen.length, pen.width, pen.height
    slope_front, slope_back = random.uniform(0.1, 0.17) * length, random.uniform(0.03, 0.12) * length
    steep = pen.height > 1.75
    slope_front, slope_back = (0.6 * slope_front, 0.4 * slope_back) if steep else (slope_front, slope_back)
    low, high = width * 0.44, width * random.uniform(0.34, 0.4)
    bulge = 0.03 * length
    base = np.array([[screen + bulge, 0], [screen, low], [tail, low], [tail, -low], [screen, -low]])
    roof = np.array([[screen - slope_front + bulge, 0], [screen - slope_front, high], [tail + slope_back, high],
                     [tail + slope_back, -high], [screen - slope_front, -high]])  # fmt: skip
    top = np.clip(colour * random.uniform(0.92, 1.15) + random.uniform(-4, 12), 0, 255)
    if random.random() < 0.1:
        top = np.full(3, random.uniform(10, 45))
    shades = np.array([1.0, 0.85, 1.1, 0.85, 1.0])[:, None] * glass
    if steep and random.random() < 0.4:
        shades[[1, 3]] = colour * 0.9
    pen.solid(base, roof, belt, height, shades * 1.2, top)
    if shiny:
        pen.shaded((0.9 * abs(roof[1, 0] - roof[2, 0]), 1.8 * high), (roof[1, 0] + roof[2, 0]) / 2, height, top)
    middle = roof[:, 0].mean()
    if random.random() < 0.25:
        roof_window = rounded(random.uniform(0.12, 0.3) * length, high * 1.4, 0.1, 0.1, middle + 0.06 * length)
        pen.flat(roof_window, height, glass)
    if random.random() < 0.3:
        for side in (-1, 1):
            rail = box(abs(roof[1, 0] - roof[2, 0]) * 0.9, 0.06, middle, side * high * 0.9)
            pen.flat(rail, height, np.full(3, random.uniform(20, 220)))
    if random.random() < 0.45:
        gleam = box(abs(roof[1, 0] - roof[2, 0]) * random.uniform(0.3, 0.9), high * random.uniform(0.2, 0.8),
                    middle, random.uniform(-0.4, 0.4) * high)  # fmt: skip
        pen.flat(gleam, height, top + random.uniform(5, 45))
    if random.random() < 0.05:
        pen.flat(box(0.25, 0.8, middle), height + 0.1, colourful(random))


def _large(random: np.random.Generator) -> Vehicle:
    style = random.choice(["bus", "light", "box", "open", "mixer", "tanker", "semi"],
                          p=[0.21, 0.19, 0.15, 0.14, 0.16, 0.06, 0.09])  # fmt: skip
    length = random.uniform(*{"bus": (6.5, 12.5), "light": (4.7, 6.2), "semi": (11, 16.5),
                              "mixer": (7.5, 9.5)}.get(style, (6.0, 11.5)))  # fmt: skip
    width = random.uniform(1.7, 2.05) if style == "light" else random.uniform(2.2, 2.6)
    height = random.uniform(1.9, 2.9) if style == "light" else random.uniform(2.7, 3.9)
    shape = _draw_bus if style == "bus" else lambda pen: _draw_truck(pen, str(style))
    return Vehicle(TRUCK_BUS, length, width, height, shape)


def _draw_bus(pen: _Pen) -> None:
    random, length, width, height = pen.random, pen.length, pen.width, pen.height
    colour = colourful(random) if random.random() < 0.55 else paint(random)
    outline = rounded(length, width, 0.25, 0.15)
    glass = _glass(random)
    pen.solid(outline, outline, 0.2, 1.1, colour * 0.85, colour)
    pen.solid(outline, outline * [0.995, 0.98], 1.1, 2.1, glass, colour)
    roof = (
        np.clip(colour * random.uniform(0.9, 1.1), 0, 255)
        if random.random() < 0.7
        else np.full(3, random.uniform(190, 245))
    )
    pen.solid(outline * [0.995, 0.98], outline * [0.985, 0.93], 2.1, height, colour * 0.9, roof)
    pen.flat(box(0.04 * length, 0.8 * width, 0.465 * length), height, glass)
    for _ in range(random.integers(1, 6)):
        unit = rounded(random.uniform(0.5, 0.2 * length), width * random.uniform(0.25, 0.72), 0.1, 0.1,
                       random.uniform(-0.4, 0.36) * length)  # fmt: skip
        pen.flat(unit, height, roof * random.uniform(0.5, 1.25) + random.uniform(-20, 40))
    if random.random() < 0.4:
        for side in (-1, 1):
            pen.flat(box(0.9 * length, 0.12, 0, side * 0.4 * width), height, colourful(random))


def _draw_truck(pen: _Pen, style: str) -> None:
    random, length, width, height = pen.random, pen.length, pen.width, pen.height
    colour = paint(random) if random.random() < 0.5 else colourful(random)
    cab = random.uniform(1.4, 1.8) if style == "light" else random.uniform(1.8, 2.6)
    cab_height = min(height, random.uniform(1.9, 2.1) if style == "light" else random.uniform(2.5, 3.1))
    chassis = box(length * 0.98, width * 0.7)
    pen.solid(chassis, chassis, 0.4, 0.9, np.full(3, 30.0), np.full(3, random.uniform(25, 70)))
    front = rounded(cab, width * 0.95, 0.25, 0.05, (length - cab) / 2)
    pen.solid(front, front * [0.99, 0.95], 0.3, cab_height, colour * 0.9, colour)
    glass = _glass(random)
    pen.flat(box(0.22 * cab, 0.8 * width, length / 2 - random.uniform(0.12, 0.25) * cab), cab_height * 0.97, glass)
    gap = random.uniform(0.1, 0.9 if style == "semi" else 0.3)
    room = length - cab - gap
    centre = -length / 2 + room / 2
    load = paint(random) if random.random() < 0.6 else colourful(random)
    deck = box(room, width, centre)
    if style == "mixer":
        _mixer(pen, room, centre, load)
    elif style == "tanker":
        for share in np.linspace(1, 0.2, 5):
            hull = rounded(room * (0.94 + 0.06 * share), width * share, 0.4 * share, 0.4 * share, centre)
            pen.solid(hull, hull, 1.0, 1.4 + (height - 1.4) * (1.15 - share), load * 0.6, load * (1.1 - 0.4 * share))
    elif style == "open" or (style == "light" and random.random() < 0.6):
        floor = np.full(3, random.uniform(30, 150)) + random.normal(0, 15, 3)
        pen.solid(deck, deck, 0.7, 1.3, load * 0.8, load)
        pen.flat(box(room - 0.2, width - 0.2, centre), 1.15, floor)
        for _ in range(random.integers(0, 12)):
            size = random.uniform(0.2, 0.55, 2) * [room, width]
            place = (centre + random.uniform(-0.3, 0.3) * room, random.uniform(-0.25, 0.25) * width)
            thing = placed(box(*size), *place, random.normal(0, 0.2))
            pen.flat(thing, 1.4, floor * random.uniform(0.5, 1.5) + random.normal(0, 15, 3))
    else:
        pen.solid(deck, deck, 0.8, height, load * 0.9, load)
        _ribs(pen, room, centre, load)


def _mixer(pen: _Pen, room: float, centre: float, load: Floats) -> None:
    random, width, height = pen.random, pen.width, pen.height
    pen.solid(
        box(room, width * 0.9, centre), box(room, width * 0.9, centre), 0.8, 1.2, np.full(3, 60.0), np.full(3, 75.0)
    )
    if random.random() < 0.7:
        load = np.full(3, random.uniform(120, 240)) + random.normal(0, 8, 3)
    back = random.uniform(-0.5, -0.3)
    along = np.linspace(back, random.uniform(0.3, 0.48), 9)
    half = width * np.array([0.16, 0.26, 0.36, 0.43, 0.45, 0.44, 0.4, 0.32, 0.22]) * random.uniform(0.8, 1.08)
    for _ in range(random.integers(1, 5)):
        # Funnel, chute and ladders behind the drum.
        part = box(random.uniform(0.2, 1.3), random.uniform(0.15, 0.9), centre - random.uniform(0.3, 0.46) * room,
                   random.uniform(-0.3, 0.3) * width)  # fmt: skip
        pen.flat(part, 1.8, np.full(3, random.uniform(20, 190)))
    for share in (1.0, 0.7, 0.4, 0.15):
        drum = np.column_stack([np.r_[along, along[::-1]] * room * 0.9 + centre, np.r_[half, -half[::-1]] * share])
        pen.solid(drum, drum, 1.2, 1.4 + (height - 1.4) * (1.1 - share), load * 0.6, load * (1.1 - 0.35 * share))
    for place in random.uniform(-0.3, 0.3, 2):
        if random.random() < 0.6:
            pen.flat(placed(box(0.15, width * 0.75), centre + place * room, 0, 0.35), height * 0.9, load * 0.6)


def _ribs(pen: _Pen, room: float, centre: float, load: Floats) -> None:
    random, height = pen.random, pen.height
    if random.random() < 0.5:
        for place in np.arange(-0.46, 0.46, random.uniform(0.05, 0.15)):
            pen.flat(box(0.06, pen.width * 0.98, centre + place * room), height, load * random.uniform(0.8, 1.1))
    if random.random() < 0.3:
        pen.flat(box(room * 0.8, pen.width * 0.5, centre), height, load * random.uniform(0.8, 1.15))


def _two_wheeler(random: np.random.Generator) -> Vehicle:
    bicycle = random.random() < 0.3
    length = random.uniform(1.6, 1.85) if bicycle else random.uniform(1.8, 2.3)
    return Vehicle(TWO_WHEELER, length, random.uniform(0.55, 0.85), random.uniform(1.4, 1.75),
                   lambda pen: _draw_two_wheeler(pen, bicycle=bicycle))  # fmt: skip


def _draw_two_wheeler(pen: _Pen, *, bicycle: bool) -> None:
    random, length, width, height = pen.random, pen.length, pen.width, pen.height
    dark = np.full(3, random.uniform(15, 55))
    wheels = rounded(length, 0.12 if bicycle else 0.2, 0.05, 0.05)
    pen.solid(wheels, wheels, 0.1, 0.6, dark, dark)
    colour = paint(random) if random.random() < 0.6 else colourful(random)
    if not bicycle:
        body = rounded(length * random.uniform(0.55, 0.75), random.uniform(0.3, 0.5), 0.12, 0.1, 0.02 * length)
        pen.solid(body, body, 0.4, 0.85, colour * 0.7, colour)
        shield = placed(box(0.25, 0.5), 0.36 * length, 0, 0)
        pen.flat(shield, 0.9, colour * random.uniform(0.7, 1.2))
    bar = box(0.08, width, 0.27 * length)
    pen.solid(bar, bar, 0.95, 1.0, dark, dark)
    rider = random.random() < 0.88
    if not bicycle and random.random() < 0.45:
        chest = box(0.5, 0.5, -0.36 * length)
        luggage = colourful(random) if random.random() < 0.6 else paint(random)
        pen.solid(chest, chest, 0.8, 1.25, luggage * 0.8, luggage)
    if rider:
        coat = paint(random) if random.random() < 0.6 else colourful(random)
        for side in (-1, 1):
            pen.flat(box(0.5, 0.16, 0.1, side * 0.17), 0.75, coat * random.uniform(0.3, 0.9))
            arm = np.array([[0.0, side * 0.2], [0.27 * length, side * width * 0.45]])
            pen.flat(np.vstack([arm, arm[::-1] + [0.05, 0.13]]), 1.15, coat * 0.9)
        trunk = disc(0.25) * [0.75, 1.0] + [-0.05, 0]
        pen.solid(trunk, trunk * 0.85, 0.8, height - 0.25, coat * 0.7, coat)
        helmet = paint(random)
        pen.solid(disc(0.13) + [0.02, 0], disc(0.11) + [0.02, 0], height - 0.25, height, helmet * 0.8, helmet)
