"""Road markings."""

from __future__ import annotations

import cv2
import numpy as np

from canvas import Canvas, Floats, box, disc, grey, placed, unit


def markings(canvas: Canvas, angle: float, lane_m: float, origin: Floats) -> None:
    """Lane lines, and sometimes crossings, stop lines, arrows, lettering, hatching and guide lines at a junction."""
    random, extent = canvas.random, canvas.extent_m
    along, across = unit(angle), unit(angle + np.pi / 2)
    lanes = int(extent / lane_m) + 1
    for lane in range(-lanes, lanes + 1):
        if random.random() < 0.7:
            colour = _marking(random) if random.random() < 0.85 else np.array([60, 180, 225.0])
            start = origin + across * lane * lane_m
            dashed(canvas, start - along * extent, start + along * extent, random.uniform(0.09, 0.22), colour)
    if random.random() < 0.35:
        _crossing(canvas, angle, origin + along * random.uniform(-0.5, 0.5) * extent)
    if random.random() < 0.4:
        stop = origin + along * random.uniform(-0.5, 0.5) * extent
        canvas.line(stop - across * extent, stop + across * extent, random.uniform(0.3, 0.7), _marking(random))
    for _ in range(random.integers(0, 5)):
        place = origin + across * (random.integers(-lanes, lanes + 1) + 0.5) * lane_m
        _on_lane(canvas, place + along * random.uniform(-0.5, 0.5) * extent, angle)
    if random.random() < 0.5:
        _lettering(canvas, angle, lane_m, origin)
    if random.random() < 0.2:
        _hatching(canvas, placed(np.zeros((1, 2)), *random.uniform(0, extent, 2), 0)[0], angle)
    for _ in range(random.integers(1, 5) if random.random() < 0.3 else 0):
        _guide(canvas)


def _lettering(canvas: Canvas, angle: float, lane_m: float, origin: Floats) -> None:
    """The same words on neighbouring lanes, in a few rows."""
    random, extent = canvas.random, canvas.extent_m
    along, across = unit(angle), unit(angle + np.pi / 2)
    row, turned = origin + along * random.uniform(-0.5, 0.5) * extent, angle + random.choice([0, np.pi])
    for place in np.arange(random.integers(1, 4)) * random.uniform(3.5, 5.5):
        write = random.choice([_writing, _syllables])
        for lane in range(random.integers(1, 5)):
            write(canvas, row + across * (lane - 1.5) * lane_m + along * place, turned)


def _on_lane(canvas: Canvas, place: Floats, angle: float) -> None:
    random = canvas.random
    turned = angle + random.choice([0, np.pi])
    drawn = random.random()
    if drawn < 0.4:
        _arrow(canvas, place, turned)
    elif drawn < 0.8:
        _writing(canvas, place, turned + random.choice([0, np.pi / 2]))
    else:
        diamond = np.array([[2.5, 0], [0, 0.8], [-2.5, 0], [0, -0.8]])
        canvas.polygon(placed(diamond, *place, turned), _marking(random))
        canvas.polygon(placed(diamond * 0.75, *place, turned), grey(random, 60, 130, 2))


def dashed(canvas: Canvas, start: Floats, end: Floats, width: float, colour: Floats) -> None:
    """A line, or its dashes."""
    random = canvas.random
    if random.random() < 0.4:
        canvas.line(start, end, width, colour)
        return
    length, along = float(np.hypot(*(end - start))), (end - start) / np.hypot(*(end - start))
    dash, gap = random.uniform(0.5, 5), random.uniform(0.5, 6)
    for place in np.arange(random.uniform(0, dash + gap), length, dash + gap):
        canvas.line(start + along * place, start + along * (place + dash), width, colour)


def _marking(random: np.random.Generator) -> Floats:
    return grey(random, 150, 250, 3)


def _crossing(canvas: Canvas, angle: float, place: Floats) -> None:
    random, extent = canvas.random, canvas.extent_m
    long, stripe, colour = random.uniform(2.5, 6), random.uniform(0.35, 0.6), _marking(random)
    slant = random.normal(0, 0.15)
    for offset in np.arange(-extent, extent, 2 * stripe):
        canvas.polygon(placed(box(long, stripe, 0, offset), *place, angle + slant), colour)
    if random.random() < 0.5:
        band = placed(box(random.uniform(0.8, 2), 3 * extent, 0.5 * long + 1.2), *place, angle + slant)
        canvas.polygon(band, random.uniform((45, 45, 100), (100, 95, 175)))


def _arrow(canvas: Canvas, place: Floats, angle: float) -> None:
    random = canvas.random
    colour, long = _marking(random), random.uniform(2, 5)
    canvas.polygon(placed(box(long, 0.16), *place, angle), colour)
    head = np.array([[0, 0.4], [1.1, 0], [0, -0.4]])
    for turn in random.choice([0, 1.3, -1.3], random.integers(1, 3), replace=False):
        tip = place + unit(angle) * (long / 2 - (0.9 if turn else 0))
        canvas.polygon(placed(head, *tip, angle + turn), colour)


def _writing(canvas: Canvas, place: Floats, angle: float) -> None:
    """Numbers, or strokes like letters, stretched along the road."""
    random, colour = canvas.random, _marking(canvas.random)
    size = np.array([random.uniform(1.5, 5), random.uniform(0.8, 1.8)])
    for letter in range(random.integers(1, 4)):
        centre = placed(np.array([[0, letter * (size[1] + 0.3)]]), *place, angle)[0]
        if random.random() < 0.5:
            mask = np.zeros((60, 40), np.uint8)
            text = str(random.choice(list("0356789ABCEHNOPSTX")))
            cv2.putText(mask, text, (2, 54), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 7)
            for outline in cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)[0]:
                flat = (outline[:, 0, ::-1] / [60.0, 40.0] - 0.5) * size * [-1, 1]
                hole = cv2.contourArea(outline, oriented=True) > 0
                canvas.polygon(placed(flat, *centre, angle), grey(random, 70, 110, 1) if hole else colour)
            continue
        for _ in range(random.integers(3, 8)):
            upright = random.random() < 0.5
            stroke = (
                box(size[0] * random.uniform(0.2, 0.9), 0.13)
                if upright
                else box(0.2, size[1] * random.uniform(0.3, 0.9))
            )
            canvas.polygon(placed(stroke + random.uniform(-0.4, 0.4, 2) * size, *centre, angle), colour)


def _syllables(canvas: Canvas, place: Floats, angle: float) -> None:
    """Blocks of strokes and rings on a grid, like Korean and Chinese characters."""
    random, colour = canvas.random, _marking(canvas.random)
    size, thick = np.array([random.uniform(1.5, 4.5), random.uniform(0.7, 1.6)]), random.uniform(0.08, 0.2)
    for block in range(random.integers(1, 4)):
        centre = placed(np.array([[0, block * size[1] * 1.15]]), *place, angle)[0]
        for _ in range(random.integers(3, 8)):
            spot = np.round(random.uniform(-1, 1, 2) * 2) / 4 * size
            drawn = random.random()
            if drawn < 0.4:
                canvas.polygon(
                    placed(box(thick * 1.5, size[1] * random.uniform(0.4, 1), *spot * [1, 0.2]), *centre, angle), colour
                )
            elif drawn < 0.8:
                canvas.polygon(
                    placed(box(size[0] * random.uniform(0.3, 0.9), thick, *spot * [0.2, 1]), *centre, angle), colour
                )
            else:
                ring = disc(0.5) * size * random.uniform(0.25, 0.5) + spot * 0.6
                ends = [canvas.pixels(placed(ring, *centre, angle)).round().astype(np.int32)]
                width = max(1, round(thick * canvas.pixels_per_m))
                cv2.polylines(
                    canvas.picture, ends, True, [float(v) for v in np.clip(colour, 0, 255)], width, cv2.LINE_AA
                )


def _hatching(canvas: Canvas, place: Floats, angle: float) -> None:
    random = canvas.random
    colour = np.array([60, 170, 215.0]) if random.random() < 0.5 else _marking(random)
    long, wide, step = random.uniform(4, 20), random.uniform(0.8, 4), random.uniform(0.6, 2)
    for offset in np.arange(-long / 2, long / 2, step):
        start, end = placed(np.array([[offset, -wide / 2], [offset + wide * 0.8, wide / 2]]), *place, angle)
        canvas.line(start, end, random.uniform(0.12, 0.4), colour)
    for side in (-1, 1):
        start, end = placed(np.array([[-long / 2, side * wide / 2], [long / 2, side * wide / 2]]), *place, angle)
        canvas.line(start, end, 0.15, colour)


def _guide(canvas: Canvas) -> None:
    """A dashed guide line for turning vehicles."""
    random, extent = canvas.random, canvas.extent_m
    centre, radius = random.uniform(-0.5, 1.5, 2) * extent, random.uniform(0.3, 1.5) * extent
    colour = _marking(random) if random.random() < 0.7 else np.array([200, 160, 240.0])
    width, dash = random.uniform(0.1, 0.5), random.uniform(0.4, 2)
    for angle in np.arange(0, 2 * np.pi, 2 * dash / radius):
        start, end = (centre + radius * unit(turn) for turn in (angle, angle + dash / radius))
        canvas.line(start, end, width, colour)
