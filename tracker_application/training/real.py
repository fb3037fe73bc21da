"""Random parts of labelled real pictures, as training crops: turned, scaled, made coarser, compressed.

The pictures stay where they are: see `real_pictures.csv` for the list and `README.md` for how they are laid out.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from network import CLASSES

Floats = NDArray[Any]
# Upright boxes of these sources are too large by this much, in length and in width.
TOO_LARGE_M = 0.5
# Finer pictures are reduced to this when they are read: no part needs more.
FINEST_M = 0.045
# How often a part is centred near a vehicle; the others show what else there is.
NEAR_VEHICLE = 0.6
TURNED_FREELY = 0.5
# What is not labelled in a picture is seldom there, but may be: how much an unlabelled two-wheeler counts as a mistake.
UNLABELLED_COUNTS = 0.25


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture with its labels.

    `boxes`: n x 7: x, y, length, width (pixels), angle, class, whether length, width and angle are known. `hidden`: 255
    where vehicles may be without a label. `complete`: per class, how much a cell without a label counts.
    """

    pixels: NDArray[np.uint8]
    metres: float
    boxes: Floats
    hidden: NDArray[np.uint8]
    complete: Floats


def load(directory: Path) -> list[Picture]:
    """All pictures of a directory with `images/`, `images.csv`, `labels.csv` and `ignore.csv`."""
    labels, ignored = _rows(directory / "labels.csv"), _rows(directory / "ignore.csv")
    pictures = []
    for name, (facts,) in _rows(directory / "images.csv").items():
        pixels = cv2.imread(str(directory / "images" / name))
        hidden = np.zeros(pixels.shape[:2], np.uint8)
        for place in ignored[name]:
            left, top, right, bottom = (round(float(place[side])) for side in ("x0", "y0", "x1", "y1"))
            hidden[max(0, top) : bottom, max(0, left) : right] = 255
        metres = float(facts["metres_per_pixel"])
        boxes = np.array([_box(row, metres) for row in labels[name]], np.float32).reshape(-1, 7)
        if metres < FINEST_M:
            factor = metres / FINEST_M
            pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            hidden = cv2.resize(hidden, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            boxes[:, :2] = (boxes[:, :2] + 0.5) * factor - 0.5
            boxes[:, 2:4] *= factor
            metres = FINEST_M
        complete = facts["labels_complete_for"].split(";")
        pictures.append(
            Picture(
                pixels,
                metres,
                boxes,
                hidden,
                np.array([1.0 if kind in complete else UNLABELLED_COUNTS for kind in CLASSES], np.float32),
            )
        )
    return pictures


def _rows(path: Path) -> defaultdict[str, list[dict[str, str]]]:
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["image"]].append(row)
    return found


def _box(row: dict[str, str], metres: float) -> list[float]:
    excess = 0.0 if row["kind"] == "obb" else TOO_LARGE_M / metres
    kind = CLASSES.index(row["class"])
    if not row["length"]:
        # Only the upright box is known: enough to say where a vehicle is.
        side = math.sqrt(max(4.0, (float(row["x1"]) - float(row["x0"])) * (float(row["y1"]) - float(row["y0"]))))
        return [float(row["cx"]), float(row["cy"]), side, side, 0.0, kind, 0.0]
    length, width = (max(2.0, float(row[side]) - excess) for side in ("length", "width"))
    known = row["kind"] == "obb" or bool(row["angle_from"])
    return [float(row["cx"]), float(row["cy"]), length, width, math.radians(float(row["angle_deg"])), kind, known]


def part(
    picture: Picture, size_px: int, metres: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], Floats, NDArray[np.uint8]]:
    """A square part of `size_px` at `metres` per pixel: pixels, boxes (n x 7), and what is hidden (255).

    Beyond the edge of the picture everything is hidden.
    """
    scale = picture.metres / metres
    height, width = picture.hidden.shape
    if len(picture.boxes) and random.random() < NEAR_VEHICLE:
        centre = picture.boxes[random.integers(len(picture.boxes)), :2] + random.uniform(-0.4, 0.4, 2) * size_px / scale
    else:
        centre = random.uniform(0, 1, 2) * [width, height]
    turn = random.uniform(0, 2 * np.pi) if random.random() < TURNED_FREELY else random.integers(4) * np.pi / 2
    # First reduced by area averaging, as the program does, then turned.
    reach = int(np.ceil(0.75 * size_px / scale)) + 2
    left, top = (int(value) - reach for value in centre)
    near = _cut(picture.pixels, left, top, 2 * reach, 0), _cut(picture.hidden, left, top, 2 * reach, 255)
    small = max(size_px, round(2 * reach * scale))
    factor = small / (2 * reach)
    pixels, hidden = (
        cv2.resize(one, (small, small), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        for one in near
    )
    cosine, sine = math.cos(turn), math.sin(turn)
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    middle = (centre - [left, top] + 0.5) * factor - 0.5
    shift = (size_px - 1) / 2 - matrix @ middle
    whole = np.column_stack([matrix, shift])
    pixels = cv2.warpAffine(pixels, whole, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    hidden = cv2.warpAffine(hidden, whole, (size_px, size_px), flags=cv2.INTER_NEAREST, borderValue=255)
    boxes = picture.boxes.copy()
    boxes[:, :2] = ((boxes[:, :2] - [left, top] + 0.5) * factor - 0.5) @ matrix.T + shift
    boxes[:, 2:4] *= factor
    boxes[:, 4] += turn
    near_enough = (np.abs(boxes[:, :2] - size_px / 2) < size_px / 2 + boxes[:, 2:3]).all(1)
    return pixels, boxes[near_enough], hidden


def _cut(picture: NDArray[np.uint8], left: int, top: int, size: int, outside: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    inner = picture[max(0, top) : top + size, max(0, left) : left + size]
    borders = max(0, -top), max(0, top + size - height), max(0, -left), max(0, left + size - width)
    if not any(borders):
        return inner
    kind = cv2.BORDER_CONSTANT if outside else cv2.BORDER_REFLECT_101
    if 0 in inner.shape[:2] or (not outside and min(inner.shape[:2]) <= max(borders)):
        kind = cv2.BORDER_CONSTANT
    if 0 in inner.shape[:2]:
        return np.full((size, size, *picture.shape[2:]), outside, np.uint8)
    bordered: NDArray[np.uint8] = cv2.copyMakeBorder(inner, *borders, kind, value=(outside,) * 3)
    return bordered


def coarser(pixels: NDArray[np.uint8], metres: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """The same part as if filmed from higher up, compressed, and enlarged again as the program does."""
    size = len(pixels)
    if random.random() < 0.55:
        coarse = math.exp(random.uniform(math.log(0.12), math.log(0.5)))
        small = max(16, round(size * metres / coarse))
        if small < size:
            seen = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
            seen = compressed(seen, random) if random.random() < 0.7 else seen
            how = cv2.INTER_LINEAR if random.random() < 0.8 else cv2.INTER_CUBIC
            enlarged: NDArray[np.uint8] = cv2.resize(seen, (size, size), interpolation=how)
            return enlarged
    return compressed(pixels, random) if random.random() < 0.5 else pixels


def compressed(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """With the faults of JPEG, which resemble those of a film."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.uniform(30, 95))]
    read: NDArray[np.uint8] = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
    return read
