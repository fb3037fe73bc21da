"""The kinds of arrays that modules exchange.

To a type checker they are all arrays: OpenCV describes what it returns as an array of any number, and casting at each
of its calls would say no more than these names do.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

# Numbers of double precision: points (n x 2), homographies (3 x 3), one value a row.
Floats: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[Any]
# Bytes: height x width x 3, blue first; or height x width.
Picture: TypeAlias = NDArray[Any]
