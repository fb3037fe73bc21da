"""Registers frames to the reference frame: KLT point tracking, then a homography by MAGSAC and least squares.

Each frame is matched against the reference frame itself, not the previous frame, so that errors do not accumulate. The
surroundings of each point are first warped with the previous frame's result; together they form one small image, in
which KLT has to find only the remaining offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.geometry import transform
from tracker.homography_fit import refined
from tracker.lens import Lens

# Side of the patch around a point, KLT's window in it, and the largest expected offset.
TILE_PX, WINDOW_PX, REACH_PX = 80, 31, 20
LEVELS = 1
# Range of contrast changes by clouds and camera; beyond it, something else is there.
MOST_GAIN = 3.0
# Smaller changes, in shares and grey levels, matter less than rounding to integer grey levels again.
SAME_GAIN, SAME_LEVEL = 0.08, 4.0
COLUMNS = 9
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
        # Integer pixels, so that the reference frame is not interpolated.
        self._corners = np.floor(filmed) - TILE_PX // 2
        numbers = np.flatnonzero(self.usable)
        rows = -(-len(numbers) // COLUMNS)
        self._shape = max(rows, 1) * TILE_PX, COLUMNS * TILE_PX
        self._tiles = [
            (int(number), *(TILE_PX * side for side in divmod(order, COLUMNS))) for order, number in enumerate(numbers)
        ]
        mosaic = np.zeros(self._shape, np.uint8)
        for number, y, x in self._tiles:
            x0, y0 = self._corners[number].astype(int)
            mosaic[y : y + TILE_PX, x : x + TILE_PX] = reference[y0 : y0 + TILE_PX, x0 : x0 + TILE_PX]
        self._mosaic = mosaic
        scale = min(1.0, COARSE_WIDTH_PX / width)
        self._coarse = cv2.resize(reference, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._coarse_scale = scale

    def _inside(self, filmed: Floats) -> Flags:
        margin = TILE_PX // 2 + 1
        flags: Flags = np.all((filmed >= margin) & (filmed < self.size - margin), axis=1)
        return flags

    def follow(self, luma: Picture, guess: Floats) -> Registered | None:
        """Register a frame; `guess` maps the reference frame to its approximate place in it.

        None if too few points fit.
        """
        known, found = self._follow_points(luma, guess)
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

    def _follow_points(self, luma: Picture, guess: Floats) -> tuple[Flags, Floats]:
        """Indices of the points found, and their undistorted positions in the frame (n x 2)."""

        def to_frame(places: Floats) -> Floats:
            return self.lens.filmed(transform(guess, self.lens.undistorted(places)))

        expected = to_frame(self._places)
        visible = self.usable & self._inside(expected)
        # Around each point, the mapping from the reference frame is approximated as affine.
        step = TILE_PX / 4
        right, down = (to_frame(self._places + offset) for offset in ([step, 0.0], [0.0, step]))
        turns = np.stack([right - expected, down - expected], axis=2) / step
        shifts = expected - np.einsum("nij,nj->ni", turns, self._places - self._corners)
        affine = np.concatenate([turns, shifts[:, :, None]], axis=2)
        mosaic = np.zeros(self._shape, np.uint8)
        shown = [tile for tile in self._tiles if visible[tile[0]]]
        if not shown:
            return np.zeros(0, int), np.zeros((0, 2))
        for number, y, x in shown:
            place = np.s_[y : y + TILE_PX, x : x + TILE_PX]
            seen = cv2.warpAffine(
                luma, affine[number], (TILE_PX, TILE_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            mosaic[place] = _in_light_of(self._mosaic[place], seen)
        numbers = np.array([number for number, _, _ in shown])
        offsets = np.array([[x, y] for _, y, x in shown])
        within = self._places[numbers] - self._corners[numbers]
        start = (within + offsets).astype(np.float32)[:, None]
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            self._mosaic, mosaic, start, start.copy(), winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.002),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        rest = (moved - start)[:, 0].astype(np.float64)
        good = (status[:, 0] > 0) & (np.abs(rest).max(axis=1) <= REACH_PX)
        found = np.einsum("nij,nj->ni", turns[numbers], within + rest) + shifts[numbers]
        return numbers[good], self.lens.undistorted(found[good])

    def search(self, luma: Picture) -> Floats | None:
        """Find the reference frame anywhere in a frame (reference to frame), by ORB; None if they do not match."""
        scale = self._coarse_scale
        detector = cv2.ORB.create(COARSE_FEATURES)
        small = cv2.resize(luma, self._coarse.shape[::-1], interpolation=cv2.INTER_AREA)
        (ours, our_words), (theirs, their_words) = (
            detector.detectAndCompute(picture, None) for picture in (self._coarse, small)
        )
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


def _in_light_of(reference: Picture, seen: Picture) -> Picture:
    """Match brightness and contrast to the reference: KLT assumes that they are equal."""
    middle = slice(TILE_PX // 2 - WINDOW_PX // 2, TILE_PX // 2 + WINDOW_PX // 2)
    (mean, contrast), (now, range_now) = (
        (float(value[0, 0]) for value in cv2.meanStdDev(tile[middle, middle])) for tile in (reference, seen)
    )
    gain = float(np.clip(contrast / max(range_now, 1.0), 1 / MOST_GAIN, MOST_GAIN))
    if abs(gain - 1) < SAME_GAIN and abs(now - mean) < SAME_LEVEL:
        return seen
    alike: Picture = np.clip(gain * (seen.astype(np.float32) - now) + mean + 0.5, 0, 255).astype(np.uint8)
    return alike


def propose_points(luma: Picture, columns: int = 9, rows: int = 6, *, each: int = 1) -> tuple[Floats, Flags]:
    """The best corners of each grid cell, n x 2 pixels away from the border, best first; and the cell of each."""
    height, width = luma.shape
    border = int(max(MARGIN * width, TILE_PX // 2 + 2))
    xs = np.linspace(border, width - border, columns + 1).astype(int)
    ys = np.linspace(border, height - border, rows + 1).astype(int)
    proposed, cells = [], []
    for number, ((y0, y1), (x0, x1)) in enumerate(product(pairwise(ys), pairwise(xs))):
        cell = np.ascontiguousarray(luma[y0:y1, x0:x1])
        best = cv2.goodFeaturesToTrack(cell, each, 0.01, TILE_PX / 2, blockSize=7)
        if best is not None:
            proposed += [corner[0].astype(np.float64) + [x0, y0] for corner in best]
            cells += [number] * len(best)
    return np.array(proposed, np.float64).reshape(-1, 2), np.array(cells, np.int64)
