"""Cuts an image into overlapping tiles of a network's input size, so that each vehicle is whole in one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture

# The padding colour of YOLO's letterbox.
PADDING = 114


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of an image: its corner and its size."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Fit:
    """How a tile maps to the network's input: scale, then offset. Both count from the corner of the first pixel."""

    scale_x: float
    scale_y: float
    left_px: int
    top_px: int

    def back(self, box: Floats) -> Floats:
        """Boxes of the input (centre and size, n x 4) mapped to the tile, with centres counted from a pixel's centre.

        Sizes are along the axes; use `back_turned` for rotated boxes.
        """
        scale = np.array([self.scale_x, self.scale_y])
        middle = (box[:, :2] - [self.left_px, self.top_px]) / scale - 0.5
        return np.hstack([middle, box[:, 2:] / scale])

    def back_turned(self, box: Floats, angle_rad: Floats) -> tuple[Floats, Floats]:
        """The same for rotated boxes, with their angles; approximate if the image was stretched."""
        along = np.column_stack([np.cos(angle_rad) / self.scale_x, np.sin(angle_rad) / self.scale_y])
        across = np.column_stack([-np.sin(angle_rad) / self.scale_x, np.cos(angle_rad) / self.scale_y])
        size = box[:, 2:] * np.column_stack([np.hypot(*along.T), np.hypot(*across.T)])
        return np.hstack([self.back(box)[:, :2], size]), np.arctan2(along[:, 1], along[:, 0])


def tiles(width_px: int, height_px: int, tile_width_px: int, tile_height_px: int, overlap_px: int) -> list[Tile]:
    """Tiles that cover an image, row by row; neighbours overlap by at least `overlap_px`, except for tiny tiles."""

    def starts(whole: int, piece: int) -> list[int]:
        if whole <= piece:
            return [0]
        count = math.ceil((whole - piece) / max(1, piece - min(overlap_px, piece // 2))) + 1
        return [round(index * (whole - piece) / (count - 1)) for index in range(count)]

    return [
        Tile(left, top, min(tile_width_px, width_px), min(tile_height_px, height_px))
        for top in starts(height_px, tile_height_px)
        for left in starts(width_px, tile_width_px)
    ]


def fitted(picture: Picture, width_px: int, height_px: int, *, stretched: bool) -> tuple[Picture, Fit]:
    """An image at the size of an input: stretched, or scaled and padded with grey (letterbox)."""
    height, width = picture.shape[:2]
    if (width, height) == (width_px, height_px):
        return picture, Fit(1.0, 1.0, 0, 0)
    if stretched:
        return cv2.resize(picture, (width_px, height_px)), Fit(width_px / width, height_px / height, 0, 0)
    scale = min(width_px / width, height_px / height)
    inner = min(width_px, round(width * scale)), min(height_px, round(height * scale))
    left, top = (width_px - inner[0]) // 2, (height_px - inner[1]) // 2
    whole = np.full((height_px, width_px, 3), PADDING, np.uint8)
    whole[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner)
    return whole, Fit(inner[0] / width, inner[1] / height, left, top)
