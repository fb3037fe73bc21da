"""The shipped network; its inputs and outputs are described in `models/model_card.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.detectors.boxes import KINDS, Boxes
from tracker.detectors.providers import open_network
from tracker.errors import InputMissing, ParameterInvalid

MODEL = Path(__file__).parent.parent / "models" / "vehicles.onnx"
# Left, top, width, height.
Region: TypeAlias = tuple[float, float, float, float]
# Context around a region, so that its result equals that of the whole image; and the largest part processed at once.
# Both in pixels at working scale, multiples of 16.
CONTEXT_PX, LARGEST_PX = 64, 1600
# Boxes that share this much of the smaller one are one vehicle.
SAME_VEHICLE = 0.45
# Largest enlargement of images to reach the scale that the network was trained for: it has seen pictures of up to 0.5 m
# per pixel enlarged like this, and finds little in them at any other scale.
MOST_ENLARGED = 5.0


@dataclass(frozen=True, slots=True)
class Glance:
    """An augmentation: enlargement beyond the network's preferred scale, and mirroring."""

    enlarged: float = 1.0
    left_right: bool = False
    up_down: bool = False

    def of(self, picture: Picture) -> Picture:
        """The augmented image."""
        if not (self.left_right or self.up_down):
            return picture
        return cv2.flip(picture, -1 if self.left_right and self.up_down else int(self.left_right))

    def back(self, boxes: Boxes, size: tuple[int, int]) -> Boxes:
        """Boxes in the augmented image, mapped back to the image of this width and height."""
        x = size[0] - 1 - boxes.x_px if self.left_right else boxes.x_px
        y = size[1] - 1 - boxes.y_px if self.up_down else boxes.y_px
        angle = -boxes.angle_rad if self.left_right != self.up_down else boxes.angle_rad
        return replace(boxes, x_px=x, y_px=y, angle_rad=angle)


PLAIN = Glance()
# The network errs differently with each of these (test-time augmentation without extra passes): positions averaged over
# all are a fifth more accurate, and what only some of them see is seldom a vehicle.
GLANCES = (PLAIN, Glance(1.1, up_down=True), Glance(1.25, left_right=True, up_down=True), Glance(1.1, left_right=True))


@dataclass(frozen=True, slots=True)
class Facts:
    """The model file's metadata. `multiple`: heights and widths must be multiples of it."""

    classes: tuple[str, ...]
    stride: int
    multiple: int
    metres_per_pixel: float
    threshold: float
    seed: int
    version: str


class ShippedNetwork:
    """Detects vehicles in single images, including stationary ones. Boxes exclude shadows."""

    def __init__(
        self, metres_per_pixel: float, *, threshold: float | None = None, model: Path = MODEL, provider: str = "auto"
    ) -> None:
        """Load for images of this `metres_per_pixel`; `threshold` is the least score, by default the model's own.

        Raises InputMissing if the model is missing, ParameterInvalid for an unusable scale or provider.
        """
        if not metres_per_pixel > 0:
            raise ParameterInvalid(f"the pixel size is {metres_per_pixel} m", remedy="Check the scale in ground.json")
        if not model.is_file():
            raise InputMissing(f"no model at {model.name}", remedy="Reinstall the program")
        network = open_network(model, provider, threads=1)
        self.provider = network.provider
        self._session: Any = network.session
        self.facts = _facts(self._session.get_modelmeta().custom_metadata_map)
        self.threshold = self.facts.threshold if threshold is None else threshold
        self._factor = metres_per_pixel / self.facts.metres_per_pixel

    def detect(self, picture: Picture, regions: Sequence[Region] | None = None, glance: Glance = PLAIN) -> Boxes:
        """Vehicles in an image (height x width x 3, bytes, BGR), or only those with their centre in a region."""
        height, width = picture.shape[:2]
        factor = min(MOST_ENLARGED, self._factor * glance.enlarged)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        shrinks = factor < 1
        working = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        factors = np.array([size[0] / width, size[1] / height])
        wanted = [(0.0, 0.0, float(width), float(height))] if regions is None else regions
        parts = []
        for region in wanted:
            corners = (np.array(region).reshape(2, 2) + [[0, 0], region[:2]]) * factors
            parts += [self._look(working, tile, glance) for tile in _tiles(corners, size)]
        boxes = _in_picture(without_doubles(Boxes.joined(parts)), factors)
        return boxes if regions is None else boxes.select(_inside(boxes, regions))

    def _look(self, working: Picture, tile: tuple[int, int, int, int], glance: Glance) -> Boxes:
        """Vehicles with their centre in a tile (left, top, right, bottom), in pixels at working scale."""
        left, top, right, bottom = tile
        x0, y0 = max(0, left - CONTEXT_PX), max(0, top - CONTEXT_PX)
        seen = working[y0 : bottom + CONTEXT_PX, x0 : right + CONTEXT_PX]
        height, width = seen.shape[:2]
        shown = np.ascontiguousarray(glance.of(seen))
        missing = [-length % self.facts.multiple for length in (height, width)]
        if any(missing):
            shown = cv2.copyMakeBorder(shown, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        scores, geometry = self._session.run(None, {"picture": shown[None]})
        found = glance.back(decode(scores[0], geometry[0], self.facts, self.threshold), (width, height))
        x, y = found.x_px + x0, found.y_px + y0
        moved = replace(found, x_px=x, y_px=y)
        return moved.select((x >= left - 0.5) & (x < right - 0.5) & (y >= top - 0.5) & (y < bottom - 0.5))


def decode(scores: Floats, geometry: Floats, facts: Facts, threshold: float) -> Boxes:
    """Peaks of heatmaps (classes x rows x columns) as boxes, in pixels of the network's input.

    `geometry` is 6 x rows x columns: offset x, y in cells, logarithms of length and width in cells, cosine and sine of
    twice the angle. Each box is the score-weighted mean over the cells around its peak.
    """
    best = scores.max(0)
    highest = cv2.dilate(best, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((best >= threshold) & (best >= highest))
    around = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    near_rows = np.clip(rows[:, None] + around[:, 0], 0, best.shape[0] - 1)
    near_columns = np.clip(columns[:, None] + around[:, 1], 0, best.shape[1] - 1)
    weights = best[near_rows, near_columns].astype(np.float64)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    dx, dy, length, width, cosine, sine = geometry[:, near_rows, near_columns].astype(np.float64)
    x, y = ((near_columns + dx) * weights).sum(1), ((near_rows + dy) * weights).sum(1)
    each = scores[:, rows, columns]
    kinds = np.array(facts.classes, object)[each.argmax(0)]
    return Boxes(
        x_px=(x + 0.5) * facts.stride - 0.5,
        y_px=(y + 0.5) * facts.stride - 0.5,
        length_px=np.exp((length * weights).sum(1)) * facts.stride,
        width_px=np.exp((width * weights).sum(1)) * facts.stride,
        angle_rad=0.5 * np.arctan2((sine * weights).sum(1), (cosine * weights).sum(1)),
        score=best[rows, columns].astype(np.float64),
        kind=kinds,
        class_scores=each[[facts.classes.index(kind) for kind in KINDS]].T.astype(np.float64),
    )


def without_doubles(boxes: Boxes) -> Boxes:
    """Boxes by descending score, without those that overlap one with a higher score."""
    boxes = boxes.select(np.argsort(-boxes.score, kind="stable"))
    reach = np.hypot(boxes.length_px, boxes.width_px) / 2
    kept: list[int] = []
    for index in range(len(boxes)):
        apart = np.hypot(boxes.x_px[kept] - boxes.x_px[index], boxes.y_px[kept] - boxes.y_px[index])
        touching = np.array(kept, int)[apart < reach[kept] + reach[index]]
        if all(_shared(boxes, index, other) < SAME_VEHICLE for other in touching):
            kept.append(index)
    return boxes.select(np.array(kept, int))


def _shared(boxes: Boxes, first: int, second: int) -> float:
    """Intersection area of two boxes, as a share of the smaller one."""
    one, other = _rectangle(boxes, first), _rectangle(boxes, second)
    _, corners = cv2.rotatedRectangleIntersection(one, other)
    if corners is None or len(corners) < 3:  # noqa: PLR2004  # a point or a line
        return 0.0
    smaller = min(length * width for _, (length, width), _ in (one, other))
    return float(cv2.contourArea(cv2.convexHull(corners))) / max(smaller, 1e-9)


def _rectangle(boxes: Boxes, index: int) -> tuple[tuple[float, float], tuple[float, float], float]:
    centre = float(boxes.x_px[index]), float(boxes.y_px[index])
    size = float(boxes.length_px[index]), float(boxes.width_px[index])
    return centre, size, float(np.degrees(boxes.angle_rad[index]))


def _tiles(corners: Floats, size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Split a region (2 x 2: upper left, lower right) into parts of limited size, on a grid of 16 pixels."""
    (left, top), (right, bottom) = corners
    grid = 16
    first = [max(0, int(value // grid) * grid) for value in (left, top)]
    last = [min(int(-(-value // grid)) * grid, length) for value, length in zip((right, bottom), size, strict=True)]
    for y in range(first[1], last[1], LARGEST_PX):
        for x in range(first[0], last[0], LARGEST_PX):
            yield x, y, min(x + LARGEST_PX, last[0]), min(y + LARGEST_PX, last[1])


def _in_picture(boxes: Boxes, factors: Floats) -> Boxes:
    """From working scale to the image's; the two factors differ only by rounding."""
    mean = float(np.sqrt(factors.prod()))
    x, y = (boxes.x_px + 0.5) / factors[0] - 0.5, (boxes.y_px + 0.5) / factors[1] - 0.5
    return replace(boxes, x_px=x, y_px=y, length_px=boxes.length_px / mean, width_px=boxes.width_px / mean)


def _inside(boxes: Boxes, regions: Sequence[Region]) -> Flags:
    x, y = boxes.x_px + 0.5, boxes.y_px + 0.5
    inside: Flags = np.zeros(len(boxes), bool)
    for left, top, width, height in regions:
        inside |= (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    return inside


def _facts(metadata: dict[str, str]) -> Facts:
    return Facts(
        classes=tuple(metadata["classes"].split(",")),
        stride=int(metadata["stride"]),
        multiple=int(metadata["multiple"]),
        metres_per_pixel=float(metadata["metres_per_pixel"]),
        threshold=float(metadata["threshold"]),
        seed=int(metadata["seed"]),
        version=metadata["version"],
    )
