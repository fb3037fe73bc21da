"""The kinds of arrays that modules exchange.

To a type checker they are all arrays: OpenCV describes what it returns as an array of any number, and casting at each
of its calls would say no more than these names do.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Numbers of double precision: points (n x 2), homographies (3 x 3), one value a row.
Floats: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[Any]
# Bytes: height x width x 3, blue first; or height x width.
Picture: TypeAlias = NDArray[Any]


def runs(flags: Flags) -> Flags:
    """Where flags are set side by side: the first of each run and the one behind its last, n x 2 whole numbers."""
    edges: Flags = np.flatnonzero(np.diff(np.concatenate([[0], flags, [0]]).astype(np.int8)))
    return edges.reshape(-1, 2)
