"""The surroundings of points as one small image, in which KLT finds how far each point is from where it is expected."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture

# Side of KLT's window.
WINDOW_PX = 31
# Range of contrast changes by clouds and camera; beyond it, something else is there.
MOST_GAIN = 3.0
# Smaller changes, in shares and grey levels, matter less than rounding to integer grey levels again.
SAME_GAIN, SAME_LEVEL = 0.08, 4.0
COLUMNS = 9


@dataclass(frozen=True, slots=True)
class Reach:
    """Side of the patch around a point, the largest offset found in it, and KLT's levels of halved images."""

    tile_px: int
    offset_px: int
    levels: int


WIDE = Reach(tile_px=80, offset_px=20, levels=1)
# From one frame to the next, points seldom move further. A third of the pixels, and no halved images.
NARROW = Reach(tile_px=48, offset_px=6, levels=0)


@dataclass(frozen=True, slots=True)
class _Tile:
    """The patch of a point: its corner in the small image, and brightness and contrast around the point."""

    number: int
    x_px: int
    y_px: int
    mean: float
    contrast: float


class Mosaic:
    """The patches of the `usable` points of one reference frame. `reference` is its luma, `places` are n x 2 pixels."""

    def __init__(self, reference: Picture, places: Floats, usable: Flags, reach: Reach) -> None:
        side = reach.tile_px
        self.reach = reach
        # Integer pixels, so that the reference frame is not interpolated.
        corners = np.floor(places) - side // 2
        self._within = places - corners
        numbers = np.flatnonzero(usable).tolist()
        self._picture = np.zeros((max(-(-len(numbers) // COLUMNS), 1) * side, COLUMNS * side), np.uint8)
        middle = side // 2 - WINDOW_PX // 2
        self._middle = np.s_[middle : middle + WINDOW_PX, middle : middle + WINDOW_PX]
        self._tiles = []
        for order, number in enumerate(numbers):
            y, x = (side * step for step in divmod(order, COLUMNS))
            left, top = corners[number].astype(int)
            tile = self._picture[y : y + side, x : x + side]
            tile[:] = reference[top : top + side, left : left + side]
            self._tiles.append(_Tile(number, x, y, *_light(tile[self._middle])))

    def offsets(self, luma: Picture, expected: Floats, turns: Floats, visible: Flags) -> tuple[Flags, Floats]:
        """Indices of the points found in a frame, and their offsets in pixels of the reference frame (n x 2).

        Around each point, the reference frame is mapped to the `expected` position by the 2 x 2 matrix of `turns`.
        """
        side = self.reach.tile_px
        shifts = expected - np.einsum("nij,nj->ni", turns, self._within)
        affine = np.concatenate([turns, shifts[:, :, None]], axis=2)
        shown = [tile for tile in self._tiles if visible[tile.number]]
        if not shown:
            return np.zeros(0, int), np.zeros((0, 2))
        picture = np.zeros_like(self._picture)
        for tile in shown:
            place = picture[tile.y_px : tile.y_px + side, tile.x_px : tile.x_px + side]
            cv2.warpAffine(
                luma, affine[tile.number], (side, side), dst=place, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            self._adapt(place, tile)
        numbers = np.array([tile.number for tile in shown])
        corners = np.array([(tile.x_px, tile.y_px) for tile in shown])
        start = (self._within[numbers] + corners).astype(np.float32)[:, None]
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            self._picture, picture, start, start.copy(), winSize=(WINDOW_PX, WINDOW_PX), maxLevel=self.reach.levels,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.002),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        offsets = (moved - start)[:, 0].astype(np.float64)
        good = (status[:, 0] > 0) & (np.abs(offsets).max(axis=1) <= self.reach.offset_px)
        return numbers[good], offsets[good]

    def _adapt(self, seen: Picture, tile: _Tile) -> None:
        """Match brightness and contrast to the reference: KLT assumes that they are equal."""
        mean, contrast = _light(seen[self._middle])
        gain = min(max(tile.contrast / max(contrast, 1.0), 1 / MOST_GAIN), MOST_GAIN)
        if abs(gain - 1) >= SAME_GAIN or abs(mean - tile.mean) >= SAME_LEVEL:
            seen[:] = np.clip(gain * (seen.astype(np.float32) - mean) + tile.mean + 0.5, 0, 255)


def _light(tile: Picture) -> tuple[float, float]:
    """Brightness and contrast."""
    mean, contrast = cv2.meanStdDev(tile)
    return float(mean[0, 0]), float(contrast[0, 0])
