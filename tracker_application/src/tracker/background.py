"""What stands still: from frames laid over the reference frame, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture

# A pixel of which fewer than this share is about the median is looked at more closely.
SURE_SHARE = 0.6
NEAR_LEVELS = 12
# What is most alike among the samples of such a pixel, and at least this share of them, is the background.
CORE_SHARE = 0.3
# Where the background itself flickers (leaves in the wind), more must differ: so many times the deviation that this
# share of the samples stays below. Not the median: where vehicles queue, most samples are vehicles.
FLICKER_SHARE, FLICKER_TIMES, MOST_THRESHOLD = 0.3, 7.0, 60


@dataclass(frozen=True, eq=False)
class Background:
    """`picture` is height x width x 3; `threshold` is how many grey levels something differs there at least."""

    picture: Picture
    threshold: Picture


def median_picture(pictures: Sequence[Picture]) -> Picture:
    """The median (the lower one of an even number) of pictures of one size, pixel by pixel."""
    return ranked_picture(pictures, (len(pictures) - 1) // 2)


def ranked_picture(pictures: Sequence[Picture], rank: int) -> Picture:
    """Of each pixel the value that `rank` of the pictures are not above: 0 gives the darkest.

    Found bit by bit: eight rounds of counting how many are at least as bright. Sorting takes ten times as long.
    """
    needed = np.uint8(len(pictures) - rank)
    result = np.zeros_like(pictures[0])
    count = np.empty_like(result)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        candidate = result | np.uint8(bit)
        count[:] = 0
        for picture in pictures:
            count += picture >= candidate
        result = np.where(count >= needed, candidate, result)
    return result


def make_background(pictures: Sequence[Picture], threshold: int) -> Background:
    """The background of pictures of one size and brightness.

    Where vehicles stand most of the time, the median is one of them, or between two; but they differ from each other
    more than the road does from itself. There it is what is most alike.
    """
    picture = median_picture(pictures)
    deviations = [_deviation(sample, picture) for sample in pictures]
    near = np.zeros(picture.shape[:2], np.uint16)
    for deviation in deviations:
        near += deviation <= NEAR_LEVELS
    unsure = near < SURE_SHARE * len(pictures)
    if unsure.any():
        picture[unsure] = _most_alike(np.stack([sample[unsure] for sample in pictures]))
        for sample, deviation in zip(pictures, deviations, strict=True):
            deviation[unsure] = np.abs(sample[unsure].astype(np.int16) - picture[unsure]).max(axis=1)
    flicker = cv2.GaussianBlur(ranked_picture(deviations, round(FLICKER_SHARE * len(pictures))), (5, 5), 0)
    levels = np.clip(np.round(FLICKER_TIMES * flicker.astype(np.float32)), threshold, max(threshold, MOST_THRESHOLD))
    return Background(picture, levels.astype(np.uint8))


def _deviation(picture: Picture, background: Picture) -> Picture:
    blue, green, red = cv2.split(cv2.absdiff(picture, background))
    return cv2.max(cv2.max(blue, green), red)


def _most_alike(samples: Floats) -> Floats:
    """Of n x m x 3 samples, for each of the m pixels the mean of the CORE_SHARE that are nearest to each other."""
    brightness = samples.astype(np.int32).sum(axis=2)
    order = brightness.argsort(axis=0, kind="stable")
    ranked = np.take_along_axis(brightness, order, axis=0)
    window = max(2, round(CORE_SHARE * len(samples)))
    spans = ranked[window - 1 :] - ranked[: len(ranked) - window + 1]
    first = spans.argmin(axis=0)
    chosen = np.take_along_axis(order, first[None] + np.arange(window)[:, None], axis=0)
    values = np.take_along_axis(samples, chosen[:, :, None], axis=0)
    mean: Floats = np.round(values.mean(axis=0)).astype(np.uint8)
    return mean
