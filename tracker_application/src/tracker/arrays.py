"""Array types that modules exchange.

To a type checker they are all arrays of any number: that is how OpenCV types its results, and casts at each call would
add nothing to these names.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Double precision: points (n x 2), homographies (3 x 3), one value per row.
Floats: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[Any]
# Bytes: height x width x 3 in BGR order, or height x width.
Picture: TypeAlias = NDArray[Any]


def runs(flags: Flags) -> Flags:
    """Runs of consecutive set flags: start and exclusive end of each, n x 2 integers."""
    edges: Flags = np.flatnonzero(np.diff(np.concatenate([[0], flags, [0]]).astype(np.int8)))
    return edges.reshape(-1, 2)
