"""Robust fit of a homography to points with a few outliers."""

from __future__ import annotations

import numpy as np

from tracker.arrays import Flags, Floats
from tracker.geometry import transform

# Points with this multiple of the usual residual have half weight; smaller residuals are the limit of KLT.
ROUNDS, HALF_WEIGHT, FINEST_RESIDUAL_PX = 4, 2.0, 0.03
# Points with a larger multiple of the usual residual are outliers.
OUTLIER_FACTOR = 3.0


def refined(matrix: Floats, found: Floats, places: Floats, fit: Flags) -> tuple[Floats, Flags]:
    """Weighted least squares over the inliers.

    Poorly fitting points get less weight (Cauchy) instead of being dropped: in a corner with few points, all would look
    wrong as long as none has weight.
    """
    here, targets = found[fit], places[fit]
    for _ in range(ROUNDS):
        rest = targets - transform(matrix, here)
        off_px = np.hypot(*rest.T)
        usual_px = max(float(np.median(off_px)), FINEST_RESIDUAL_PX)
        matrix = _nearer(matrix, here, rest, 1 / (1 + (off_px / (HALF_WEIGHT * usual_px)) ** 2))
    residuals = np.hypot(*(transform(matrix, found) - places).T)
    usual_px = max(float(np.median(residuals[fit])), FINEST_RESIDUAL_PX)
    return matrix, fit & (residuals <= OUTLIER_FACTOR * usual_px)


def _nearer(matrix: Floats, here: Floats, rest: Floats, weights: Floats) -> Floats:
    """One Gauss-Newton step towards zero residuals `rest` (n x 2) at the points `here`."""
    matrix = matrix / matrix[2, 2]
    ones, none = np.ones((len(here), 1)), np.zeros((len(here), 3))
    plain = np.hstack([here, ones])
    x, y, depth = (plain @ matrix.T).T
    seen = np.column_stack([x, y]) / depth[:, None]
    # Derivatives of both image coordinates with respect to the first eight entries of the matrix.
    across = np.hstack([plain, none, -seen[:, :1] * here]) / depth[:, None]
    down = np.hstack([none, plain, -seen[:, 1:] * here]) / depth[:, None]
    root = np.tile(np.sqrt(weights), 2)
    slopes, wanted = np.concatenate([across, down]) * root[:, None], rest.T.ravel() * root
    sizes = np.abs(slopes).max(axis=0)
    step = np.linalg.lstsq(slopes / sizes, wanted, rcond=None)[0] / sizes
    better: Floats = matrix + np.append(step, 0.0).reshape(3, 3)
    return better
