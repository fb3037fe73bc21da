"""Points, homographies and oriented boxes. Angles are radians, counter-clockwise where y points up."""

from __future__ import annotations

import numpy as np

from tracker.arrays import Floats


def transform(matrix: Floats, points: Floats) -> Floats:
    """Map n x 2 points through a 3 x 3 homography."""
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    flat: Floats = moved[:, :2] / moved[:, 2:]
    return flat


def scaling(factor: float) -> Floats:
    """The homography between pixel grids of two sizes of one image, with pixel centres aligned."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0.0, shift], [0.0, factor, shift], [0.0, 0.0, 1.0]])


def metres_per_pixel(to_world: Floats, place_px: Floats) -> float:
    """Size of a pixel on the ground at a position: the geometric mean of both directions."""
    steps = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
    _, right, left, down, up = transform(to_world, place_px + steps)
    across, along = right - left, down - up
    return float(np.sqrt(abs(across[0] * along[1] - across[1] * along[0])))


def corners(x: float, y: float, heading: float, length: float, width: float) -> Floats:
    """Corners of an oriented box, 4 x 2: front left, front right, back right, back left."""
    along = np.array([np.cos(heading), np.sin(heading)]) * length / 2
    across = np.array([-np.sin(heading), np.cos(heading)]) * width / 2
    box: Floats = np.array([along + across, along - across, -along - across, -along + across]) + [x, y]
    return box


def angle_between(first: float | Floats, second: float | Floats) -> Floats:
    """Signed difference of directions, from -pi to pi."""
    difference: Floats = np.arctan2(np.sin(np.subtract(first, second)), np.cos(np.subtract(first, second)))
    return difference
