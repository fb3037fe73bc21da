"""Everything in an image except vehicles and markings: surfaces, and objects that resemble vehicles."""

from __future__ import annotations

import cv2
import numpy as np

from canvas import Canvas, Floats, box, disc, fill, grey, placed, unit
from vehicles import colourful, paint


def ground(canvas: Canvas) -> None:
    """Asphalt, and sometimes regions of other surfaces."""
    random = canvas.random
    asphalt = canvas.noise((2, 9, 60, 200), tuple(random.uniform((1, 1, 1, 2), (6, 4, 6, 10))))
    canvas.picture[:] = np.clip(grey(random, 50, 160, 4) + asphalt[..., None], 0, 255).astype(np.uint8)
    if random.random() < 0.68:
        for _ in range(random.integers(1, 4)):
            _region(canvas)
    if random.random() < 0.35:
        _wear(canvas)


def _region(canvas: Canvas) -> None:
    random, extent = canvas.random, canvas.extent_m
    mask = np.zeros((canvas.size, canvas.size), np.uint8)
    centre, angle = random.uniform(0, extent, 2), random.uniform(0, 2 * np.pi)
    shape = random.random()
    if shape < 0.25:
        # A path or strip between kerbs, at most as wide as a lane.
        corners = placed(box(4 * extent, random.uniform(1.2, 5.0)), *centre, angle)
    elif shape < 0.6:
        corners = placed(box(4 * extent, 4 * extent, 0, 2 * extent), *centre, angle)
    elif shape < 0.82:
        corners = placed(box(*random.uniform(0.15, 1.2, 2) * extent), *centre, angle)
    else:
        corners = placed(disc(1.0, 40) * random.uniform(0.1, 0.5, 2) * extent, *centre, angle)
    fill(mask, canvas.pixels(corners), 255)
    kind = random.choice(["grass", "soil", "paving", "red", "roof", "asphalt"], p=[0.28, 0.12, 0.2, 0.08, 0.18, 0.14])
    if kind == "grass":
        colour = random.uniform((20, 60, 40), (85, 150, 135))
        strengths = tuple(random.uniform((6, 4, 6), (26, 20, 14)))
    elif kind == "soil":
        colour, strengths = random.uniform((55, 70, 80), (135, 155, 185)), (12.0, 12.0, 12.0)
    elif kind == "red":
        colour, strengths = random.uniform((45, 45, 95), (110, 105, 185)), (4.0, 3.0, 4.0)
    elif kind == "asphalt":
        colour, strengths = grey(random, 50, 170, 4), (4.0, 3.0, 5.0)
    else:
        colour, strengths = grey(random, 40 if kind == "roof" else 105, 235, 12), (5.0, 3.0, 4.0)
    texture = canvas.noise((2, 8, 50), strengths)[..., None] * [0.8, 1.0, 1.0]
    surface = np.clip(colour + texture, 0, 255).astype(np.uint8)
    if kind in {"roof", "paving", "red"} and random.random() < 0.6:
        _grid(canvas, surface, colour)
    cv2.copyTo(surface, mask, canvas.picture)
    if random.random() < 0.6:
        kerb = [float(v) for v in np.clip(grey(random, 120, 230), 0, 255)]
        ends = np.clip(canvas.pixels(corners), -1e4, 1e4).round().astype(np.int32)
        cv2.polylines(canvas.picture, [ends], True, kerb, max(1, round(0.2 * canvas.pixels_per_m)), cv2.LINE_AA)


def _grid(canvas: Canvas, surface: np.ndarray, colour: Floats) -> None:
    """Joints of slabs, windows of a facade, panels: lines in one or both directions."""
    random, extent, angle = canvas.random, canvas.extent_m, canvas.random.uniform(0, np.pi)
    shade = colour * random.uniform(0.4, 1.5)
    for turn in (0, np.pi / 2)[: random.integers(1, 3)]:
        step, width = random.uniform(0.3, 4), random.uniform(0.05, 0.35)
        along, across = unit(angle + turn), unit(angle + turn + np.pi / 2)
        for place in np.arange(-extent, extent, max(step, 2 * width)):
            middle = extent / 2 + across * place
            ends = np.array([middle - along * 2 * extent, middle + along * 2 * extent])
            band = np.vstack([ends, ends[::-1] + across * width])
            fill(surface, canvas.pixels(band), shade)


def _wear(canvas: Canvas) -> None:
    random, extent = canvas.random, canvas.extent_m
    for _ in range(random.integers(1, 7)):
        patch = placed(box(*random.uniform(0.3, 6, 2)), *random.uniform(0, extent, 2), random.uniform(0, np.pi))
        canvas.polygon(patch, grey(random, 45, 150, 2))
    for _ in range(random.integers(0, 3)):
        # Renewed asphalt, as long as lorries, slightly darker or brighter than its surroundings.
        place = random.uniform(0, extent, 2)
        spot = np.clip(canvas.pixels(place), 0, canvas.size - 1).astype(int)
        colour = canvas.picture[spot[1], spot[0]] * random.uniform(0.7, 1.3)
        size = random.uniform(3, 16), random.uniform(1.2, 3.5)
        canvas.polygon(placed(box(*size), *place, random.uniform(0, np.pi)), colour)
    for _ in range(random.integers(0, 4)):
        way = np.cumsum(random.normal(0, 1.2, (12, 2)), 0) + random.uniform(0, extent, 2)
        ends = canvas.pixels(way).round().astype(np.int32)
        cv2.polylines(canvas.picture, [ends], False, [float(v) for v in grey(random, 30, 80, 1)], 1, cv2.LINE_AA)


def clutter(canvas: Canvas, taken: list[Floats]) -> None:
    """Objects up to a vehicle's size, flat or solid, and their shadows, where no vehicle is."""
    random, extent = canvas.random, canvas.extent_m
    solids = []
    for _ in range(random.choice([0, 4, 12, 30], p=[0.25, 0.3, 0.3, 0.15])):
        place, angle = random.uniform(0, extent, 2), random.uniform(0, np.pi)
        style = random.choice(_STYLES)
        size = np.sort(random.uniform(*_SIZES[style], 2))[::-1]
        if is_free(taken, place, float(np.hypot(*size)) / 2):
            solids.append((style, place, angle, size))
    heights = [random.uniform(*_HEIGHTS[style]) for style, *_ in solids]
    for (_, place, angle, size), height in zip(solids, heights, strict=True):
        canvas.shadow(placed(box(*size), *place, angle), 0, height)
    canvas.shade(random.uniform(0.25, 0.7), 0.04, np.ones(3))
    for (style, place, angle, size), height in zip(solids, heights, strict=True):
        _thing(canvas, str(style), place, angle, size, height)


_SIZES = {
    "unit": (0.6, 3.2), "slab": (0.4, 8.0), "bars": (0.5, 6.0), "container": ((5.8, 2.3), (12.2, 2.5)),
    "person": (0.3, 0.5), "round": (0.5, 3.5), "frame": (1.0, 7.0), "pipe": ((2, 0.2), (14, 1.0)),
    "panel": (1.0, 7.0), "shelter": ((3.0, 1.4), (9.0, 2.4)), "bench": ((1.2, 0.4), (2.2, 0.7)), "rocks": (0.3, 1.6),
    "manhole": ((0.5, 0.4), (1.0, 0.9)), "tuft": (0.4, 2.2),
}  # fmt: skip
_HEIGHTS = {
    "unit": (0.3, 1.8), "slab": (0.0, 0.3), "bars": (0.0, 0.5), "container": (2.4, 2.7), "person": (1.5, 1.8),
    "round": (0.0, 2.5), "frame": (0.0, 0.5), "pipe": (0.2, 1.0), "panel": (0.0, 0.6), "shelter": (2.2, 2.8),
    "bench": (0.4, 0.5), "rocks": (0.1, 0.8), "manhole": (0.0, 0.01), "tuft": (0.2, 1.5),
}  # fmt: skip
_STYLES = [*_SIZES, "person", "person", "slab", "bars", "unit", "manhole", "tuft", "tuft"]


def _thing(canvas: Canvas, style: str, place: Floats, angle: float, size: Floats, height: float) -> None:  # noqa: C901
    random = canvas.random
    colour = paint(random) if random.random() < 0.6 else colourful(random)
    colour = grey(random, 25, 130, 3) if style == "manhole" else colour
    if style == "person":
        legs = placed(disc(size[0] / 2) * [0.7, 1], *place, angle)
        canvas.solid(legs, legs, 0, height, colour * 0.6, colour)
        canvas.polygon(placed(disc(0.12), *place, angle), paint(random), height)
        return
    if style == "tuft":
        _tuft(canvas, place, angle, size, height)
        return
    outline = placed(disc(0.5) * size if style in {"round", "rocks", "manhole"} else box(*size), *place, angle)
    if style != "frame":
        canvas.solid(outline, outline, 0, height, colour * 0.75, colour)
    if style == "unit":
        for spot in random.uniform(-0.25, 0.25, (random.integers(0, 3), 2)):
            canvas.polygon(placed(disc(0.25 * size[1]) + spot * size, *place, angle), colour * 0.4, height)
    elif style in {"bars", "container", "panel", "shelter"}:
        step = max(0.15, random.uniform(0.03, 0.3) * size[0])
        shade = colour * random.uniform(0.6, 1.2)
        for offset in np.arange(-size[0] / 2, size[0] / 2, step):
            canvas.polygon(placed(box(step * 0.3, size[1], offset), *place, angle), shade, height)
    elif style == "round":
        canvas.polygon(placed(disc(random.uniform(0.2, 0.45)) * size, *place, angle), paint(random), height)
    elif style == "frame":
        for points in (outline, outline[[0, 2]], outline[[1, 3]]):
            ends = canvas.pixels(points, height).round().astype(np.int32)
            shade = [float(v) for v in np.clip(colour, 0, 255)]
            cv2.polylines(canvas.picture, [ends], True, shade, int(random.integers(1, 5)), cv2.LINE_AA)
    elif style == "slab" and random.random() < 0.5:
        # As long as a car, with a dark part like glass, but not a car.
        part = box(
            size[0] * random.uniform(0.1, 0.5), size[1] * random.uniform(0.5, 1), random.uniform(-0.2, 0.2) * size[0]
        )
        canvas.polygon(placed(part, *place, angle), colour * random.uniform(0.2, 1.5), height)


def _tuft(canvas: Canvas, place: Floats, angle: float, size: Floats, height: float) -> None:
    """Low, isolated plants."""
    random = canvas.random
    green = random.uniform((10, 30, 20), (90, 120, 130))
    for _ in range(random.integers(6, 25)):
        spot = np.clip(random.normal(0, 0.25, 2), -0.5, 0.5) * size
        leaf = disc(random.uniform(0.06, 0.25), 6) + spot
        canvas.polygon(placed(leaf, *place, angle), green * random.uniform(0.35, 1.6), height * random.random())


def buildings(canvas: Canvas, taken: list[Floats]) -> None:
    """Sometimes a house: a wall with windows that leans far, a roof with objects on it."""
    random, extent = canvas.random, canvas.extent_m
    for _ in range(random.choice([0, 1, 2], p=[0.7, 0.22, 0.08])):
        size, place = random.uniform(6, 30, 2), random.uniform(-0.2, 1.2, 2) * extent
        height, angle = random.uniform(3, 25), random.uniform(0, np.pi)
        reach = float(np.hypot(*size)) / 2
        top = place + canvas.lean * height
        if not (
            is_free(taken, place, reach) and is_free(taken, top, reach) and is_free(taken, (place + top) / 2, reach)
        ):
            continue
        wall, outline = grey(random, 40, 220, 10), placed(box(*size), *place, angle)
        canvas.solid(outline, outline, 0, height, wall, wall)
        window = grey(random, 20, 150, 12)
        for level in np.arange(1, height - 0.5, random.uniform(2.5, 4)):
            for first, second in zip(outline, np.roll(outline, -1, 0), strict=True):
                outward = (first + second) / 2 - place
                if outward @ canvas.lean > 0:
                    continue
                steps = np.arange(0.05, 0.95, random.uniform(0.06, 0.3))
                for share in steps:
                    low = np.array(
                        [
                            first + (second - first) * share,
                            first
                            + (second - first)
                            * (share + 0.6 * np.diff(steps).mean() if len(steps) > 1 else share + 0.4),
                        ]
                    )
                    quad = np.vstack([canvas.pixels(low, level), canvas.pixels(low[::-1], level + 1.6)])
                    fill(canvas.picture, quad, window)
        roof = grey(random, 50, 230, 12)
        canvas.polygon(outline, roof * 1.15, height)
        canvas.polygon(placed(box(*(size - 0.8)), *place, angle), roof, height)
        for _ in range(random.integers(0, 16)):
            unit_size, spot = random.uniform(0.5, 3.5, 2), random.uniform(-0.42, 0.42, 2) * size
            base = placed(placed(box(*unit_size), *spot, 0), *place, angle)
            shadow = base + canvas.sun * 1.0
            canvas.polygon(shadow, roof * 0.5, height)
            colour = paint(random)
            canvas.solid(base, base, height, height + random.uniform(0.3, 1.5), colour * 0.8, colour)


def trees(canvas: Canvas, taken: list[Floats]) -> None:
    """Single trees, rows or woods; their shadows also fall on vehicles."""
    random, extent = canvas.random, canvas.extent_m
    places = random.uniform(0, extent, (random.choice([0, 2, 14], p=[0.55, 0.27, 0.18]), 2))
    if random.random() < 0.25:
        along = unit(random.uniform(0, np.pi))
        places = random.uniform(0, extent, 2) + np.arange(-extent, extent, random.uniform(2.5, 7))[:, None] * along
    colour = random.uniform((10, 45, 25), (60, 125, 120))
    standing = []
    for place in places:
        radius, height = random.uniform(0.6, 3.8), random.uniform(1.5, 6)
        crown = place + canvas.lean * height
        if is_free(taken, crown, radius * 0.8) and crown.min() > -2 and crown.max() < extent + 2:
            standing.append((crown, radius))
            canvas.shadow(placed(disc(radius * 0.85), *place, 0), height * 0.4, height)
    canvas.shade(random.uniform(0.3, 0.65), 0.15, np.ones(3))
    for crown, radius in standing:
        leaves = max(12, int(18 * radius))
        away = random.normal(0, radius * 0.42, (leaves, 2))
        sunny = -(away @ canvas.sun) / (radius * max(0.3, float(np.hypot(*canvas.sun))))
        for spot, light in zip(away, sunny, strict=True):
            shade = np.clip(colour * (random.uniform(0.5, 1.4) + 0.35 * light), 0, 255)
            centre = tuple(int(v) for v in canvas.pixels(crown + spot))
            size = max(1, int(radius * random.uniform(0.08, 0.3) * canvas.pixels_per_m))
            cv2.circle(canvas.picture, centre, size, [float(v) for v in shade], -1, cv2.LINE_AA)


def hedges(canvas: Canvas, taken: list[Floats]) -> None:
    """Bushes in lines or scattered, as large as riders and cars; and stripes and dots of paving between them."""
    random, extent = canvas.random, canvas.extent_m
    for _ in range(random.choice([0, 1, 3], p=[0.6, 0.25, 0.15])):
        start, along = random.uniform(0, extent, 2), unit(random.uniform(0, np.pi))
        length, wide = random.uniform(1, 15), random.uniform(0.4, 1.6)
        colour = random.uniform((10, 40, 25), (70, 125, 130))
        shade = colour * random.uniform(0.3, 0.6)
        for step in np.arange(0, length, wide * random.uniform(0.5, 1.8)):
            place = start + along * step + random.normal(0, 0.15 * wide, 2)
            if not is_free(taken, place, wide * 0.6):
                continue
            canvas.polygon(placed(disc(wide / 2), *(place + canvas.sun * 0.4 * wide), 0), shade)
            for _ in range(random.integers(5, 14)):
                leaf = disc(wide * random.uniform(0.08, 0.28), 7) + place + random.normal(0, wide * 0.22, 2)
                canvas.polygon(leaf, colour * random.uniform(0.5, 1.6))
    if random.random() < 0.15:
        start, angle = random.uniform(0, extent, 2), random.uniform(0, np.pi)
        size = np.array([random.uniform(0.3, 2.2), random.uniform(0.15, 0.9)])
        step, colours = size * random.uniform(1.2, 3, 2), (paint(random), grey(random, 40, 220))
        for row in range(random.integers(1, 6)):
            for column in range(random.integers(3, 12)):
                place = placed(np.array([[column, row]]) * step, *start, angle)[0]
                if is_free(taken, place, float(size.max()) / 2):
                    canvas.polygon(placed(box(*size), *place, angle), colours[(row + column) % 2])


def is_free(taken: list[Floats], place: Floats, radius: float) -> bool:
    """Whether a circle touches none of the occupied circles: x, y, radius in metres."""
    return all(np.hypot(*(other[:2] - place)) > radius + other[2] for other in taken)
