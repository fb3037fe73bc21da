"""Registers frames to the reference frame: KLT point tracking, then a homography by MAGSAC and least squares.

Each frame is matched against the reference frame itself, not the previous frame, so that errors do not accumulate. The
surroundings of each point are first warped with the previous frame's result; together they form one small image, in
which KLT has to find only the remaining offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.geometry import transform
from tracker.homography_fit import refined
from tracker.lens import Lens
from tracker.mosaic import NARROW, WIDE, Mosaic, Reach

# How far from a point the mapping around it is measured.
STEP_PX = 20.0
# No points are proposed this close to the border, as a share of the width.
MARGIN = 0.02
INLIER_PX_AT_4K = 2.0
WIDTH_4K_PX = 3840
FEWEST_INLIERS = 6
COARSE_WIDTH_PX = 960
COARSE_FEATURES = 1500
RATIO_TEST = 0.8


@dataclass(frozen=True, eq=False)
class Registered:
    """How a frame aligns with the reference frame. `to_reference` is 3 x 3; `inliers` flags the points that fit."""

    to_reference: Floats
    inliers: Flags
    residual_px: float


class Registration:
    """Tracks points of one reference frame. `reference` is its luma as filmed, `points_px` is n x 2, undistorted.

    `usable` flags the points far enough from the border.
    """

    def __init__(self, reference: Picture, points_px: Floats, lens: Lens | None = None) -> None:
        height, width = reference.shape
        self.lens = lens or Lens(width, height, 90.0)
        self.size = np.array([width, height])
        self.points_px = points_px
        self.inlier_px = max(1.0, INLIER_PX_AT_4K * width / WIDTH_4K_PX)
        filmed = self.lens.filmed(points_px)
        self.usable: Flags = self._inside(filmed)
        self._places = filmed
        self._mosaics = {reach: Mosaic(reference, filmed, self.usable, reach) for reach in (WIDE, NARROW)}
        scale = min(1.0, COARSE_WIDTH_PX / width)
        self._coarse = cv2.resize(reference, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._coarse_scale = scale

    def _inside(self, filmed: Floats) -> Flags:
        margin = WIDE.tile_px // 2 + 1
        flags: Flags = np.all((filmed >= margin) & (filmed < self.size - margin), axis=1)
        return flags

    def follow(self, luma: Picture, guess: Floats, reach: Reach = WIDE) -> Registered | None:
        """Register a frame; `guess` maps the reference frame to its approximate place in it, as exact as `reach` needs.

        None if too few points fit.
        """
        known, found = self._follow_points(luma, guess, self._mosaics[reach])
        if len(known) < FEWEST_INLIERS:
            return None
        places = self.points_px[known]
        matrix, mask = cv2.findHomography(found, places, cv2.USAC_MAGSAC, self.inlier_px)
        if matrix is None or int(mask.sum()) < FEWEST_INLIERS:
            return None
        matrix, fit = refined(matrix, found, places, mask[:, 0] > 0)
        if int(fit.sum()) < FEWEST_INLIERS:
            return None
        inliers = np.zeros(len(self.points_px), bool)
        inliers[known[fit]] = True
        distances = np.hypot(*(transform(matrix, found[fit]) - places[fit]).T)
        return Registered(matrix, inliers, float(np.sqrt(np.mean(distances**2))))

    def _follow_points(self, luma: Picture, guess: Floats, mosaic: Mosaic) -> tuple[Flags, Floats]:
        """Indices of the points found, and their undistorted positions in the frame (n x 2)."""

        def to_frame(places: Floats) -> Floats:
            return self.lens.filmed(transform(guess, self.lens.undistorted(places)))

        expected = to_frame(self._places)
        visible = self.usable & self._inside(expected)
        # Around each point, the mapping from the reference frame is approximated as affine.
        right, down = (to_frame(self._places + offset) for offset in ([STEP_PX, 0.0], [0.0, STEP_PX]))
        turns = np.stack([right - expected, down - expected], axis=2) / STEP_PX
        numbers, offsets = mosaic.offsets(luma, expected, turns, visible)
        found = expected[numbers] + np.einsum("nij,nj->ni", turns[numbers], offsets)
        return numbers, self.lens.undistorted(found)

    @cached_property
    def _features(self) -> tuple[Sequence[cv2.KeyPoint], Picture | None]:
        """Of the reference frame."""
        return _features(self._coarse)

    def search(self, luma: Picture) -> Floats | None:
        """Find the reference frame anywhere in a frame (reference to frame), by ORB; None if they do not match."""
        scale = self._coarse_scale
        small = cv2.resize(luma, self._coarse.shape[::-1], interpolation=cv2.INTER_AREA)
        (ours, our_words), (theirs, their_words) = self._features, _features(small)
        if our_words is None or their_words is None or len(their_words) < FEWEST_INLIERS:
            return None
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(our_words, their_words, k=2)
        good = [pair[0] for pair in pairs if len(pair) > 1 and pair[0].distance < RATIO_TEST * pair[1].distance]
        if len(good) < 2 * FEWEST_INLIERS:
            return None
        source = self.lens.undistorted(np.array([ours[match.queryIdx].pt for match in good]) / scale)
        target = self.lens.undistorted(np.array([theirs[match.trainIdx].pt for match in good]) / scale)
        matrix, mask = cv2.findHomography(source, target, cv2.USAC_MAGSAC, 3.0 / scale)
        return matrix if matrix is not None and int(mask.sum()) >= 2 * FEWEST_INLIERS else None


def _features(picture: Picture) -> tuple[Sequence[cv2.KeyPoint], Picture | None]:
    """Corners and their descriptors; None if there are none."""
    return cv2.ORB.create(COARSE_FEATURES).detectAndCompute(picture, None)


def propose_points(luma: Picture, columns: int = 9, rows: int = 6, *, each: int = 1) -> tuple[Floats, Flags]:
    """The best corners of each grid cell, n x 2 pixels away from the border, best first; and the cell of each."""
    height, width = luma.shape
    border = int(max(MARGIN * width, WIDE.tile_px // 2 + 2))
    xs = np.linspace(border, width - border, columns + 1).astype(int)
    ys = np.linspace(border, height - border, rows + 1).astype(int)
    proposed, cells = [], []
    for number, ((y0, y1), (x0, x1)) in enumerate(product(pairwise(ys), pairwise(xs))):
        cell = np.ascontiguousarray(luma[y0:y1, x0:x1])
        best = cv2.goodFeaturesToTrack(cell, each, 0.01, WIDE.tile_px / 2, blockSize=7)
        if best is not None:
            proposed += [corner[0].astype(np.float64) + [x0, y0] for corner in best]
            cells += [number] * len(best)
    return np.array(proposed, np.float64).reshape(-1, 2), np.array(cells, np.int64)
