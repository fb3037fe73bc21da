"""The stationary background: computed per pixel from frames aligned with the reference frame."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.workers import cores

# Pixels with a smaller share of samples near the median are examined more closely.
SURE_SHARE = 0.6
NEAR_LEVELS = 12
# For such a pixel, the background is the tightest cluster with at least this share of its samples.
CORE_SHARE = 0.3
# Where the background itself flickers (leaves in the wind), the threshold is higher: this multiple of the deviation
# that this share of the samples stays below. Not the median: where vehicles queue, most samples are vehicles.
FLICKER_SHARE, FLICKER_TIMES, MOST_THRESHOLD = 0.3, 7.0, 60

# What is worked on at once: each sample is read many times, from the processor's cache. In smaller strips, Python takes
# longer to begin the operations than the processor for them.
STRIP_BYTES = 8 << 20


@dataclass(frozen=True, eq=False)
class Background:
    """`picture` is height x width x 3; `threshold` is the least difference in grey levels that counts, per pixel."""

    picture: Picture
    threshold: Picture


def make_background(pictures: Sequence[Picture], threshold: int) -> Background:
    """The background of images of equal size and brightness."""
    picture = np.empty_like(pictures[0])
    flicker = np.empty(picture.shape[:2], np.uint8)
    rows = max(1, STRIP_BYTES // max(1, len(pictures) * picture[0].nbytes))

    def fill(top: int) -> None:
        strip = np.s_[top : top + rows]
        picture[strip], flicker[strip] = _background_of([sample[strip] for sample in pictures])

    # NumPy releases the GIL while it compares.
    with ThreadPoolExecutor(cores()) as threads:
        list(threads.map(fill, range(0, len(picture), rows)))
    soft = cv2.GaussianBlur(flicker, (5, 5), 0)
    levels = np.clip(np.round(FLICKER_TIMES * soft.astype(np.float32)), threshold, max(threshold, MOST_THRESHOLD))
    return Background(picture, levels.astype(np.uint8))


def _background_of(samples: Sequence[Picture]) -> tuple[Picture, Picture]:
    """The background, and the deviation from it that FLICKER_SHARE of the samples stay below.

    Where vehicles are stopped most of the time, the median is a vehicle or a mixture. But vehicles differ more from
    each other than the road does over time, so the tightest cluster of samples is used there.
    """
    picture = median_picture(samples)
    deviations = [_deviation(sample, picture) for sample in samples]
    near = np.zeros(picture.shape[:2], np.uint16)
    for deviation in deviations:
        near += deviation <= NEAR_LEVELS
    unsure = near < SURE_SHARE * len(samples)
    if unsure.any():
        picture[unsure] = _most_alike(np.stack([sample[unsure] for sample in samples]))
        deviations = [_deviation(sample, picture) for sample in samples]
    return picture, ranked_picture(deviations, round(FLICKER_SHARE * len(samples)))


def median_picture(pictures: Sequence[Picture]) -> Picture:
    """The per-pixel median (the lower one for an even number) of images of one size."""
    return ranked_picture(pictures, (len(pictures) - 1) // 2)


def ranked_picture(pictures: Sequence[Picture], rank: int) -> Picture:
    """Per pixel, the value of this `rank` among the images: 0 is the darkest.

    The highest value that enough of them reach, found bit by bit, with eight rounds of counting them. Sorting takes ten
    times as long.
    """
    needed = len(pictures) - rank
    result = np.zeros(pictures[0].shape, np.uint8)
    count = np.empty_like(result)
    reached = np.empty(result.shape, np.bool_)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        candidate = result | np.uint8(bit)
        count[:] = 0
        for picture in pictures:
            np.greater_equal(picture, candidate, out=reached)
            np.add(count, reached.view(np.uint8), out=count)
        np.copyto(result, candidate, where=count >= needed)
    return result


def _deviation(picture: Picture, background: Picture) -> Picture:
    blue, green, red = cv2.split(cv2.absdiff(picture, background))
    return cv2.max(cv2.max(blue, green), red)


def _most_alike(samples: Floats) -> Floats:
    """For each of m pixels with n samples (n x m x 3), the mean of the CORE_SHARE closest together."""
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
