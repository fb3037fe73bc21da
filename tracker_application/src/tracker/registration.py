"""Registers frames to the reference frame: points followed by KLT in small patches, a homography by MAGSAC.

Each frame is matched against the reference frame itself, never against the frame before, so that nothing drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from tracker.arrays import Flags, Floats, Picture
from tracker.geometry import transform

WINDOW_PX = 41
LEVELS = 2
INLIER_PX_AT_4K = 2.0
WIDTH_4K_PX = 3840
FEWEST_INLIERS = 6
COARSE_WIDTH_PX = 960
COARSE_FEATURES = 1500
RATIO_TEST = 0.8


@dataclass(frozen=True, eq=False)
class Registered:
    """How a frame lies on the reference frame. `to_reference` is 3 x 3; `inliers` says which points fit."""

    to_reference: Floats
    inliers: Flags
    residual_px: float


class Registration:
    """Follows points of one reference frame. `reference` is its luma, `points_px` n x 2."""

    def __init__(self, reference: Picture, points_px: Floats) -> None:
        self.reference = reference
        height, width = reference.shape
        self.radius = int(np.clip(width // 40, WINDOW_PX, 96))
        inside = (points_px >= self.radius) & (points_px < np.array([width, height]) - self.radius)
        self.usable: Flags = np.all(inside, axis=1)
        self.points_px = points_px
        self.inlier_px = max(1.0, INLIER_PX_AT_4K * width / WIDTH_4K_PX)

    def follow(self, luma: Picture, guess: Floats) -> Registered | None:
        """Register a frame; `guess` is where the reference frame is about expected in it (reference to frame).

        None if too few points fit.
        """
        expected = transform(guess, self.points_px)
        found = np.full(self.points_px.shape, np.nan)
        for index in np.flatnonzero(self.usable):
            found[index] = self._follow_point(luma, self.points_px[index], expected[index])
        known = np.flatnonzero(np.isfinite(found[:, 0]))
        if len(known) < FEWEST_INLIERS:
            return None
        matrix, mask = cv2.findHomography(found[known], self.points_px[known], cv2.USAC_MAGSAC, self.inlier_px)
        if matrix is None or int(mask.sum()) < FEWEST_INLIERS:
            return None
        inliers = np.zeros(len(self.points_px), bool)
        inliers[known[mask[:, 0] > 0]] = True
        distances = np.hypot(*(transform(matrix, found[inliers]) - self.points_px[inliers]).T)
        return Registered(matrix, inliers, float(np.sqrt(np.mean(distances**2))))

    def _follow_point(self, luma: Picture, place: Floats, expected: Floats) -> Floats:
        radius = self.radius
        height, width = luma.shape
        if not (radius <= expected[0] < width - radius and radius <= expected[1] < height - radius):
            return np.array([np.nan, np.nan])
        x0, y0 = (int(value) - radius for value in place)
        x1, y1 = (int(value) - radius for value in expected)
        patch = np.ascontiguousarray(luma[y1 : y1 + 2 * radius, x1 : x1 + 2 * radius])
        found, status, _ = cv2.calcOpticalFlowPyrLK(
            self.reference[y0 : y0 + 2 * radius, x0 : x0 + 2 * radius],
            patch,
            np.array([[place - [x0, y0]]], np.float32),
            np.array([[expected - [x1, y1]]], np.float32),
            winSize=(WINDOW_PX, WINDOW_PX),
            maxLevel=LEVELS,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 0.003),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        place_found: Floats = found[0, 0].astype(np.float64) + [x1, y1]
        return place_found if status[0, 0] else np.array([np.nan, np.nan])

    def search(self, luma: Picture) -> Floats | None:
        """Find the reference frame anywhere in a frame (reference to frame), by ORB; None if they do not match."""
        scale = COARSE_WIDTH_PX / luma.shape[1]
        detector = cv2.ORB.create(COARSE_FEATURES)
        small = [
            cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for picture in (self.reference, luma)
        ]
        (ours, our_words), (theirs, their_words) = (detector.detectAndCompute(picture, None) for picture in small)
        if our_words is None or their_words is None or len(their_words) < FEWEST_INLIERS:
            return None
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(our_words, their_words, k=2)
        good = [pair[0] for pair in pairs if len(pair) > 1 and pair[0].distance < RATIO_TEST * pair[1].distance]
        if len(good) < 2 * FEWEST_INLIERS:
            return None
        source = np.array([ours[match.queryIdx].pt for match in good]) / scale
        target = np.array([theirs[match.trainIdx].pt for match in good]) / scale
        matrix, mask = cv2.findHomography(source, target, cv2.USAC_MAGSAC, 3.0 / scale)
        return matrix if matrix is not None and int(mask.sum()) >= 2 * FEWEST_INLIERS else None


def propose_points(luma: Picture, columns: int = 6, rows: int = 4, margin: float = 0.04) -> Floats:
    """The best corner of each cell of a grid, n x 2 pixels, away from the border."""
    height, width = luma.shape
    border = int(max(margin * width, WINDOW_PX))
    xs = np.linspace(border, width - border, columns + 1).astype(int)
    ys = np.linspace(border, height - border, rows + 1).astype(int)
    proposed = []
    for y0, y1 in pairwise(ys):
        for x0, x1 in pairwise(xs):
            cell = np.ascontiguousarray(luma[y0:y1, x0:x1])
            best = cv2.goodFeaturesToTrack(cell, 1, 0.01, 10, blockSize=7)
            if best is not None:
                proposed.append(best[0, 0].astype(np.float64) + [x0, y0])
    return np.array(proposed, np.float64).reshape(-1, 2)
