"""Frames aligned with the reference frame: a small image of the whole, and sharp pieces on demand.

Aligning a whole frame takes longer than decoding it, and vehicles cover only a few per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.footage import VideoFrame
from tracker.geometry import scaling, transform

# Pixel size of the small image: a two-wheeler still covers a few.
COARSE_PIXEL_M = 0.18
# This close to the border of a frame, nothing is known of what lies beyond.
BORDER_PX = 3.0
GAIN_STEP = 4
LEAST_GAIN, MOST_GAIN = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of whole pixels of the stabilised image."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int

    def of(self, picture: Picture) -> Picture:
        """That part of an image of the whole."""
        return picture[self.top_px : self.top_px + self.height_px, self.left_px : self.left_px + self.width_px]


@dataclass(frozen=True, eq=False)
class View:
    """A frame. `to_stabilised` maps its pixels to the stabilised image; `row` is its row of the homographies.

    `gain` is its brightness relative to the background, per colour.
    """

    row: int
    time_s: float
    frame: Picture
    to_stabilised: Floats
    reduction: int
    gain: Floats | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the stabilised image."""
        return self.frame.shape[1], self.frame.shape[0]

    def coarse(self) -> Picture:
        """The whole frame, small and stabilised, with its own brightness."""
        small = reduced(self.frame, self.reduction)
        scale = scaling(1 / self.reduction)
        matrix = scale @ self.to_stabilised @ np.linalg.inv(scale)
        return cv2.warpPerspective(small, matrix, small.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)

    def seen(self) -> Picture:
        """255 where the small image shows this frame, 0 beyond its border."""
        width, height = self.size[0] // self.reduction, self.size[1] // self.reduction
        right, bottom = np.array(self.size) - 1 - BORDER_PX
        corners = np.array([[BORDER_PX, BORDER_PX], [right, BORDER_PX], [right, bottom], [BORDER_PX, bottom]])
        small = transform(scaling(1 / self.reduction) @ self.to_stabilised, corners)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(mask, np.round(small).astype(np.int32), (255,))
        return mask

    def piece(self, piece: Piece) -> Picture:
        """A part of the stabilised image, with the brightness of the background."""
        shift = np.array([[1.0, 0.0, -piece.left_px], [0.0, 1.0, -piece.top_px], [0.0, 0.0, 1.0]])
        size = piece.width_px, piece.height_px
        seen = cv2.warpPerspective(self.frame, shift @ self.to_stabilised, size, borderMode=cv2.BORDER_REPLICATE)
        return seen if self.gain is None else levelled(seen, self.gain)

    def whole(self) -> Picture:
        """The whole stabilised image."""
        return self.piece(Piece(0, 0, *self.size))

    def inside(self, points_px: Floats) -> Flags:
        """Which points of the stabilised image (n x 2) are well inside this frame."""
        frame_px = transform(np.linalg.inv(self.to_stabilised), points_px)
        limits = np.array(self.size) - 1 - BORDER_PX
        within: Flags = np.all((frame_px >= BORDER_PX) & (frame_px <= limits), axis=1)
        return within


@dataclass(frozen=True, eq=False)
class Views:
    """Converts frames to views.

    `frames_at` returns frames by index, `times_s` are their times; `matrices` map full-size pixels of frames to the
    reference frame; `factor` is the views' width divided by the reference frame's; `to_world` is for full size.
    """

    frames_at: Callable[[Iterable[int]], Iterator[VideoFrame]]
    times_s: Floats
    matrices: Floats
    to_world_full: Floats
    width_px: int
    height_px: int
    factor: float
    pixel_m: float

    @property
    def to_world(self) -> Floats:
        """3 x 3: pixels of the stabilised image to metres."""
        return self.to_world_full @ np.linalg.inv(scaling(self.factor))

    @property
    def reduction(self) -> int:
        """Pixels, across and down, per pixel of the small image."""
        return max(1, round(COARSE_PIXEL_M / self.pixel_m))

    def at(self, rows: Sequence[int] | Iterable[int]) -> Iterator[View]:
        """The frames with these increasing indices."""
        scale = scaling(self.factor)
        back = np.linalg.inv(scale)
        for frame in self.frames_at(rows):
            picture = frame.colours(self.width_px, self.height_px)
            yield View(frame.index, frame.time_s, picture, scale @ self.matrices[frame.index] @ back, self.reduction)

    def mask(self, polygon_px: Floats) -> Picture:
        """255 inside a polygon of the reference frame, or everywhere if it has no corners."""
        if not len(polygon_px):
            return np.full((self.height_px, self.width_px), 255, np.uint8)
        mask = np.zeros((self.height_px, self.width_px), np.uint8)
        cv2.fillPoly(mask, [np.round(transform(scaling(self.factor), polygon_px)).astype(np.int32)], (255,))
        return mask


def reduced(picture: Picture, times: int) -> Picture:
    """An image reduced by these factors, without the remainder at the right and bottom. Integer factors are fast."""
    height, width = (side // times for side in picture.shape[:2])
    if times == 1:
        return picture
    return cv2.resize(picture[: height * times, : width * times], (width, height), interpolation=cv2.INTER_AREA)


def gain_between(picture: Picture, reference: Picture) -> Floats:
    """Brightness of an image relative to another of its size, per colour: the median ratio of their pixels."""
    ours = picture[::GAIN_STEP, ::GAIN_STEP].reshape(-1, 3).astype(np.float32)
    theirs = reference[::GAIN_STEP, ::GAIN_STEP].reshape(-1, 3).astype(np.float32)
    ratio: Floats = np.median((ours + 1) / (theirs + 1), axis=0).astype(np.float64)
    return np.clip(ratio, LEAST_GAIN, MOST_GAIN)


def levelled(picture: Picture, gain: Floats) -> Picture:
    """An image without its gain."""
    values = np.arange(256)[:, None] / gain[None]
    return cv2.LUT(picture, np.clip(np.round(values), 0, 255).astype(np.uint8)[None])
