"""Overlap of oriented boxes, and removal of duplicates."""

from __future__ import annotations

import cv2
import numpy as np

from tracker.arrays import Floats
from tracker.detectors.boxes import Boxes


def corners_px(boxes: Boxes) -> Floats:
    """Corners of each box, n x 4 x 2 pixels."""
    along = np.column_stack([np.cos(boxes.angle_rad), np.sin(boxes.angle_rad)]) * boxes.length_px[:, None] / 2
    across = np.column_stack([-np.sin(boxes.angle_rad), np.cos(boxes.angle_rad)]) * boxes.width_px[:, None] / 2
    middle = np.column_stack([boxes.x_px, boxes.y_px])
    found: Floats = np.stack(
        [middle + along + across, middle + along - across, middle - along - across, middle - along + across], axis=1
    )
    return found


def boxes_around(corners: Floats, score: Floats, kind: Floats) -> Boxes:
    """Boxes with these corners (n x 4 x 2 pixels in order around each); the inverse of `corners_px`."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    lengths = np.hypot(*first.T), np.hypot(*second.T)
    lying = lengths[0] >= lengths[1]
    along = np.where(lying[:, None], first, second)
    middle = corners.mean(axis=1)
    return Boxes(
        middle[:, 0], middle[:, 1], np.maximum(*lengths), np.minimum(*lengths),
        np.mod(np.arctan2(along[:, 1], along[:, 0]), np.pi), score, kind,
    )  # fmt: skip


def intersections_px2(first: Boxes, second: Boxes) -> Floats:
    """Intersection areas of each of `first` with each of `second`, n x m, square pixels."""
    areas = np.zeros((len(first), len(second)))
    if not areas.size:
        return areas
    reach = np.hypot(first.length_px, first.width_px)[:, None] + np.hypot(second.length_px, second.width_px)[None]
    apart = np.hypot(first.x_px[:, None] - second.x_px[None], first.y_px[:, None] - second.y_px[None])
    ours, theirs = corners_px(first).astype(np.float32), corners_px(second).astype(np.float32)
    for row, column in zip(*np.nonzero(2 * apart < reach), strict=True):
        areas[row, column] = cv2.intersectConvexConvex(ours[row], theirs[column])[0]
    return areas


def overlaps(first: Boxes, second: Boxes) -> Floats:
    """Intersection over union, n x m, 0 to 1."""
    common = intersections_px2(first, second)
    both = (first.length_px * first.width_px)[:, None] + (second.length_px * second.width_px)[None]
    shares: Floats = common / np.maximum(both - common, 1e-9)
    return shares


def without_repeats(boxes: Boxes, order: Floats, share: float) -> Boxes:
    """One box per vehicle: by descending `order`, skip boxes that overlap a kept one by more than `share`.

    Relative to the smaller box, so that half a vehicle cut off by a tile is removed, too.
    """
    kept: list[int] = []
    ranks = np.argsort(-order, kind="stable")
    areas = boxes.length_px * boxes.width_px
    common = intersections_px2(boxes, boxes)
    for index in ranks.tolist():
        smaller = np.minimum(areas[index], areas[kept])
        if not kept or bool((common[index, kept] <= share * smaller).all()):
            kept.append(index)
    return boxes.select(np.array(kept, np.int64))
