"""What stands still: the temporal median of frames laid over the reference frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracker.arrays import Picture


def median_picture(pictures: Sequence[Picture]) -> Picture:
    """The median (the lower one of an even number) of pictures of one size, pixel by pixel.

    Found bit by bit: eight rounds of counting how many are at least as bright. Sorting takes ten times as long.
    """
    needed = np.uint8(len(pictures) - (len(pictures) - 1) // 2)
    result = np.zeros_like(pictures[0])
    count = np.empty_like(result)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        candidate = result | np.uint8(bit)
        count[:] = 0
        for picture in pictures:
            count += picture >= candidate
        result = np.where(count >= needed, candidate, result)
    return result
