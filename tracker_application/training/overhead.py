"""Objects above the road and their shadows: masts, signs, and shadows of things outside the image."""

from __future__ import annotations

import numpy as np

from canvas import Canvas, Floats, box, disc, fill, grey, placed, rounded, unit
from vehicles import colourful


def masts(canvas: Canvas, *, sunny: bool) -> None:
    """Lamps, signals and gantries over the road: thin, in front of everything, with thin shadows."""
    random, extent = canvas.random, canvas.extent_m
    standing = []
    for _ in range(random.choice([0, 1, 3], p=[0.5, 0.3, 0.2])):
        foot, height, angle = random.uniform(0, extent, 2), random.uniform(4, 10), random.uniform(0, 2 * np.pi)
        arm = foot + unit(angle) * random.uniform(1, 11)
        width, sign = random.uniform(0.1, 0.25), None
        if random.random() < 0.5:
            size = random.uniform(0.6, 6), random.uniform(0.2, 1.1)
            sign = placed(box(*size), *arm, angle + random.choice([0, np.pi / 2]))
        standing.append((foot, arm, height, width, sign))
        if sunny:
            side = unit(angle + np.pi / 2) * width / 2
            canvas.shadow(np.array([foot + side, arm + side, arm - side, foot - side]), height, height + 0.1)
            canvas.shadow(foot + disc(width / 2, 8), 0, height)
            if sign is not None:
                # Signs are vertical: their shadows are as deep as they are high.
                canvas.shadow(sign, height - random.uniform(0, 2.5), height)
    canvas.shade(random.uniform(0.3, 0.7), 0.06, np.ones(3))
    for foot, arm, height, width, sign in standing:
        colour = grey(random, 60, 235, 4)
        canvas.line(foot, foot + canvas.lean * height, width, colour)
        canvas.line(foot, arm, width, colour, height)
        if random.random() < 0.5:
            _signals(canvas, foot, arm, height)
        if sign is not None:
            canvas.polygon(sign, colourful(random) if random.random() < 0.6 else grey(random, 20, 245), height)


def _signals(canvas: Canvas, foot: Floats, arm: Floats, height: float) -> None:
    """Traffic lights on an arm: dark, long and narrow, the size of two-wheelers."""
    random, way = canvas.random, arm - foot
    turn = float(np.arctan2(way[1], way[0])) + random.choice([0, 0, np.pi / 2])
    for share in random.uniform(0.4, 1, random.integers(1, 4)):
        place, size = foot + share * way, (random.uniform(0.7, 1.7), random.uniform(0.25, 0.5))
        dark = grey(random, 15, 70, 4)
        head = placed(box(*size), *place, turn)
        canvas.solid(head, head, height, height + 0.35, dark * 0.7, dark)
        for spot in (-0.3, 0, 0.3):
            shield = placed(box(0.2 * size[0], 0.25, spot * size[0], 0.5 * size[1]), *place, turn)
            canvas.polygon(shield, dark * random.uniform(0.5, 1.8), height + 0.2)


def leaf_shadows(canvas: Canvas) -> None:
    """Patchy shadows of tree crowns outside the image, and broad bands as of bridges and signs."""
    random, extent = canvas.random, canvas.extent_m
    for _ in range(random.choice([0, 2, 6], p=[0.65, 0.2, 0.15])):
        place, radius = random.uniform(0, extent, 2), random.uniform(0.8, 3.5)
        for _ in range(random.integers(8, 40)):
            spot = place + random.normal(0, radius * 0.45, 2)
            fill(canvas.shadows, canvas.pixels(disc(radius * random.uniform(0.08, 0.3), 9) + spot), 255)
    for _ in range(random.choice([0, 1, 3], p=[0.75, 0.17, 0.08])):
        band = box(random.uniform(2, 20), random.uniform(0.4, 3))
        fill(canvas.shadows, canvas.pixels(placed(band, *random.uniform(0, extent, 2), random.uniform(0, np.pi))), 255)


def mast_shadows(canvas: Canvas) -> None:
    """Thin lines of shadow, and shadows of objects outside the image."""
    random, extent = canvas.random, canvas.extent_m
    for _ in range(random.choice([0, 1, 3], p=[0.6, 0.25, 0.15])):
        start, along = random.uniform(0, extent, 2), unit(random.uniform(0, 2 * np.pi))
        ends = np.array([start, start + along * random.uniform(2, 15)])
        aside = np.array([-along[1], along[0]]) * random.uniform(0.05, 0.2)
        fill(canvas.shadows, canvas.pixels(np.vstack([ends - aside, ends[::-1] + aside])), 255)
    for _ in range(random.choice([0, 1, 4], p=[0.75, 0.15, 0.1])):
        spot = placed(rounded(random.uniform(1, 7), random.uniform(0.8, 3), 0.4, 0.4), *random.uniform(0, extent, 2),
                      random.uniform(0, np.pi))  # fmt: skip
        fill(canvas.shadows, canvas.pixels(spot), 255)


def great_shadow(canvas: Canvas) -> None:
    """The edge of a building's shadow, over vehicles and ground."""
    random, extent = canvas.random, canvas.extent_m
    if random.random() < 0.35:
        far, angle = 4 * extent, random.uniform(0, 2 * np.pi)
        depth = far if random.random() < 0.6 else random.uniform(2, 12)
        edge = placed(box(far, depth, 0, depth / 2), *random.uniform(0, extent, 2), angle)
        fill(canvas.shadows, canvas.pixels(edge), 255)
        canvas.shade(random.uniform(0.35, 0.66), random.uniform(0.03, 0.3), np.array([0.85, 0.95, 1.0]))
