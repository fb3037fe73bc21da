"""Training targets of a crop: heatmaps, geometry, and the weights of both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from network import CLASSES, GEOMETRY, STRIDE

Floats = NDArray[Any]
# Heatmaps fall off with these shares of the box; the geometry is learned where they are above CORE.
SPREAD_ALONG, SPREAD_ACROSS, LEAST_SPREAD = 1 / 7, 1 / 5, 0.7
CORE = 0.3


def targets(boxes: Floats, size_px: int) -> tuple[Floats, Floats, Floats]:
    """Heatmaps (classes x n x n), geometry (6 x n x n) and its weight (1 x n x n) of boxes n x 6 or n x 7.

    A seventh column says whether length, width and angle of the box are known. A box with its centre outside has no
    peak, but its area is not labelled empty: it counts as the flank of a peak.
    """
    cells = size_px // STRIDE
    heat = np.zeros((len(CLASSES), cells, cells), np.float32)
    geometry = np.zeros((GEOMETRY, cells, cells), np.float32)
    weight = np.zeros((1, cells, cells), np.float32)
    best = np.zeros((cells, cells), np.float32)
    for x_px, y_px, length, width, angle, kind, *known in boxes:
        x, y = (x_px + 0.5) / STRIDE - 0.5, (y_px + 0.5) / STRIDE - 0.5
        reach = int(0.6 * length / STRIDE) + 3
        left, top = max(0, int(x) - reach), max(0, int(y) - reach)
        right, bottom = min(cells, int(x) + reach + 1), min(cells, int(y) + reach + 1)
        if left >= right or top >= bottom:
            continue
        rows, columns = np.ogrid[top:bottom, left:right]
        dx, dy, cosine, sine = columns - x, rows - y, np.cos(angle), np.sin(angle)
        along = (dx * cosine + dy * sine) / max(length / STRIDE * SPREAD_ALONG, LEAST_SPREAD)
        across = (dy * cosine - dx * sine) / max(width / STRIDE * SPREAD_ACROSS, LEAST_SPREAD)
        hill = np.exp(-0.5 * (along**2 + across**2)).astype(np.float32)
        inside = -0.5 <= x < cells - 0.5 and -0.5 <= y < cells - 0.5
        if inside:
            hill[round(float(y)) - top, round(float(x)) - left] = 1.0
        else:
            hill = np.minimum(hill, 0.95)
        part = (slice(top, bottom), slice(left, right))
        one = heat[int(kind)][part]
        np.maximum(one, hill, out=one)
        core = (hill > CORE) & (hill > best[part])
        best[part][core] = hill[core]
        if not inside:
            continue
        weight[0][part][core] = hill[core] if not known or known[0] else 0.0
        values = (-dx + 0 * dy, -dy + 0 * dx, np.log(length / STRIDE), np.log(width / STRIDE), np.cos(2 * angle),
                  np.sin(2 * angle))  # fmt: skip
        for channel, value in zip(geometry, values, strict=True):
            channel[part][core] = np.broadcast_to(value, core.shape)[core]
    return heat, geometry, weight
