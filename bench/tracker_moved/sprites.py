"""Vehicles cut out of a real picture with their shadows, and the road without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tracker.arrays import Flags, Floats, Picture
from tracker.geometry import corners

# Of the surroundings, only what is darker than the road moves with a vehicle: its shadow.
AROUND_M, SOFT_M, CLEAR_M = 1.6, 0.12, 0.3
# What is filled around the place of a vehicle, if there is as much road nearby.
EMPTIED_M = (3.2, 2.2, 1.4, 0.7)
# How far along the road a piece may lie that fills the place of a vehicle.
FURTHEST_M, STEP_M = 45.0, 0.5


@dataclass(frozen=True, slots=True)
class Label:
    """A labelled vehicle: centre, size and direction in pixels of the picture, y down."""

    kind: str
    x: float
    y: float
    direction: float
    length: float
    width: float

    def outline(self, margin: float = 0.0) -> Floats:
        """Its corners, 4 x 2."""
        return corners(self.x, self.y, self.direction, self.length + 2 * margin, self.width + 2 * margin)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A vehicle that points to the right: its image, how opaque it is, and by what its shadow darkens the road."""

    image: Floats
    opaque: Floats
    shade: Floats

    def onto(self, picture: Picture, place: Floats, direction: float) -> None:
        """Draw it with its centre at a place of the picture."""
        height, width = self.opaque.shape
        cosine, sine = np.cos(direction), np.sin(direction)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        reach = int(np.hypot(width, height) / 2) + 2
        left, top = (int(np.floor(value)) - reach for value in place)
        x0, y0 = max(0, left), max(0, top)
        part = picture[y0 : max(y0, top + 2 * reach), x0 : max(x0, left + 2 * reach)]
        if not part.size:
            return
        shift = place - [x0, y0] - turn @ [(width - 1) / 2, (height - 1) / 2]
        matrix, size = np.column_stack([turn, shift]), part.shape[1::-1]
        image = cv2.warpAffine(self.image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        opaque = cv2.warpAffine(self.opaque, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
        shade = cv2.warpAffine(self.shade, matrix, size, flags=cv2.INTER_LINEAR, borderValue=1.0)[..., None]
        part[:] = np.clip(np.round(opaque * image + (1 - opaque) * shade * part), 0, 255)


def cut_out(picture: Picture, label: Label, others: Flags, pixel_m: float) -> Sprite:
    """A vehicle; `others` is where other vehicles are."""
    margin = AROUND_M / pixel_m
    size = round(label.length + 2 * margin), round(label.width + 2 * margin)
    matrix = _upright(label, size)
    image = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    foreign = cv2.warpAffine(others.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    inside = np.zeros(size[::-1], np.float32)
    low = round(margin)
    inside[low : size[1] - low, low : size[0] - low] = 1
    opaque = cv2.GaussianBlur(inside, (0, 0), SOFT_M / pixel_m)
    road = (inside == 0) & ~foreign
    image = image.astype(np.float32)
    usual = np.median(image[road], axis=0).mean() if road.any() else image.mean()
    shade = np.where(road, np.clip(image.mean(axis=2) / usual, 0.25, 1), 1).astype(np.float32)
    # The edge of the cut-out must not show: the shadow fades towards it.
    fade = np.clip(
        cv2.distanceTransform(np.pad(np.ones(size[::-1], np.uint8), 1), cv2.DIST_L2, 3) * pixel_m / 0.3, 0, 1
    )
    shade = cv2.GaussianBlur(1 - fade[1:-1, 1:-1] * (1 - shade), (0, 0), SOFT_M / pixel_m)
    return Sprite(image, opaque, shade)


def without(picture: Picture, gone: Sequence[Label], staying: Sequence[Label], pixel_m: float) -> Picture:
    """The picture with road in place of some vehicles and their shadows, as far as there is room for it."""
    empty, shape = picture.copy(), picture.shape[:2]
    for number, label in enumerate(gone):
        others = covered(shape, [*staying, *gone[number + 1 :]], CLEAR_M / pixel_m)
        for margin_m in EMPTIED_M:
            hole = covered(shape, [label], margin_m / pixel_m) & ~others
            left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
            here = np.s_[top : top + height, left : left + width]
            piece = _best_piece(empty, label, hole, hole | others, pixel_m)
            if piece is not None:
                break
        else:
            piece = cv2.inpaint(empty, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)[here]
        soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 2 * SOFT_M / pixel_m)
        soft = np.where(others, 0, soft)[here][..., None]
        empty[here] = np.round(soft * piece + (1 - soft) * empty[here])
    return empty


def covered(shape: tuple[int, ...], labels: Sequence[Label], margin: float) -> Flags:
    """Where vehicles are, with a margin."""
    mask = np.zeros(shape, np.uint8)
    for label in labels:
        cv2.fillConvexPoly(mask, np.round(label.outline(margin)).astype(np.int32), (1,))
    return mask > 0


def _best_piece(picture: Picture, label: Label, hole: Flags, taken: Flags, pixel_m: float) -> Picture | None:
    """What lies nearby along a vehicle's direction, as large as its hole, and fits best at the rim."""
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    here = np.s_[top : top + height, left : left + width]
    rim = ~hole[here] & ~taken[here]
    best: tuple[float, Picture] | None = None
    for distance_m in np.arange(label.length * pixel_m / 2, FURTHEST_M, STEP_M):
        for side in (-1, 1):
            step = side * distance_m / pixel_m
            x, y = left + round(step * np.cos(label.direction)), top + round(step * np.sin(label.direction))
            there = np.s_[y : y + height, x : x + width]
            if min(x, y) < 0 or taken[there].shape != (height, width) or (taken[there] & hole[here]).any():
                continue
            off = np.abs(picture[there].astype(np.float32) - picture[here])
            # Plain road shows less where it is wrong than markings do.
            misfit = float(picture[there][hole[here]].std()) + 2 * (float(off[rim].mean()) if rim.any() else 0.0)
            if best is None or misfit < best[0]:
                best = misfit, picture[there].copy()
    return None if best is None else best[1]


def _upright(label: Label, size: tuple[int, int]) -> Floats:
    """From the picture to one of this size in which the vehicle points to the right."""
    cosine, sine = np.cos(label.direction), np.sin(label.direction)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2]) - turn @ [label.x, label.y]
    return np.column_stack([turn, shift])
