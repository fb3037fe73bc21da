"""Foreground: what differs from the background and is not a shadow, as oriented rectangles in pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture

# Brightness in shadows, in units of 1/128 of the background's. A shadow darkens all three colours by about the same
# factor, which lies between these.
RATIO_SCALE = 128
DARKEST, LIGHTEST, TINT = 38, 119, 15
# Cast shadows of one scene are about equally dark: this far around the most frequent darkness.
CORE_SPREAD = 10
# Least share of all darkened, untinted pixels with this darkness if the sun casts shadows.
CORE_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Shadows:
    """Shadow darkness: `core`/128 of the brightness remains. Shadow edges are at most `edge_px` wide."""

    core: int
    edge_px: int

    @property
    def share_left(self) -> float:
        """Share of the light that remains."""
        return self.core / RATIO_SCALE


@dataclass(frozen=True, eq=False)
class Blob:
    """`corners_px` are the corners of the smallest enclosing rectangle; `fill` is the share of it that differs.

    `contour_px` are the outermost pixels, n x 2. `whole` is False if the image border cuts it.
    """

    corners_px: Floats
    fill: float
    contour_px: Floats
    whole: bool = True

    @classmethod
    def around(cls, contour_px: Floats, fill: float | None = None) -> Blob:
        """The blob with this contour (n x 2)."""
        points = np.ascontiguousarray(contour_px, np.float32)
        (x, y), (width, height), angle = cv2.minAreaRect(points)
        # The contour runs through the centres of the outermost pixels, half a pixel inside on each side.
        area = cv2.contourArea(points) + len(points) / 2
        corners = cv2.boxPoints(((x, y), (width + 1, height + 1), angle)).astype(np.float64)
        return cls(corners, min(1.0, area / ((width + 1) * (height + 1))) if fill is None else fill, contour_px)

    def moved(self, x_px: float, y_px: float) -> Blob:
        """Translated."""
        shift = np.array([x_px, y_px])
        return Blob(self.corners_px + shift, self.fill, self.contour_px + shift, self.whole)


@dataclass(frozen=True, eq=False)
class Difference:
    """An image compared with the background: where it differs, where that may be shadow, how much light is left."""

    differs: Picture
    may_be_shadow: Picture
    light_left: Picture


def difference(picture: Picture, background: Picture, threshold: Picture) -> Difference:
    """Compare; `threshold` is the least difference in grey levels of any colour, per pixel."""
    soft = cv2.GaussianBlur(picture, (3, 3), 0)
    blue, green, red = cv2.split(cv2.absdiff(soft, background))
    differs = cv2.compare(cv2.max(cv2.max(blue, green), red), threshold, cv2.CMP_GT)
    blue, green, red = cv2.split(cv2.divide(soft, background, scale=RATIO_SCALE))
    most, least = cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
    light_left = cv2.addWeighted(most, 0.5, least, 0.5, 0)
    candidates = cv2.bitwise_and(_between(light_left, DARKEST, LIGHTEST), _between(cv2.subtract(most, least), 0, TINT))
    return Difference(differs, cv2.bitwise_and(differs, candidates), light_left)


def learn_shadows(differences: Iterable[Difference], edge_px: float) -> Shadows | None:
    """How dark shadows are in this footage; None if no darkness stands out, as without sunshine."""
    counts = np.zeros(RATIO_SCALE + 1)
    for found in differences:
        inner = cv2.erode(found.may_be_shadow, np.ones((3, 3), np.uint8)) > 0
        counts += np.bincount(found.light_left[inner], minlength=RATIO_SCALE + 1)[: RATIO_SCALE + 1]
    near = np.convolve(counts, np.ones(2 * CORE_SPREAD + 1), "same")
    best = int(near.argmax())
    if counts.sum() == 0 or near[best] < CORE_SHARE * counts.sum():
        return None
    around = np.arange(max(0, best - CORE_SPREAD), min(RATIO_SCALE, best + CORE_SPREAD) + 1)
    core = round(float(np.average(around, weights=counts[around])))
    return Shadows(core, max(1, round(edge_px)))


def foreground_mask(found: Difference, shadows: Shadows | None) -> Picture:
    """255 where an image differs and is not in shadow. Without `shadows`, anything that may be shadow is shadow."""
    shadow = found.may_be_shadow
    if shadows is not None:
        core = cv2.bitwise_and(
            shadow, _between(found.light_left, shadows.core - CORE_SPREAD, shadows.core + CORE_SPREAD)
        )
        core = cv2.morphologyEx(core, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        lighter = cv2.bitwise_and(shadow, _between(found.light_left, shadows.core, LIGHTEST))
        size = 2 * shadows.edge_px + 1
        beside = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        shadow = cv2.bitwise_or(core, cv2.bitwise_and(lighter, beside))
    return cv2.bitwise_and(found.differs, cv2.bitwise_not(shadow))


def blobs(mask: Picture, speck_px: float, gap_px: float, smallest_px: float) -> list[Blob]:
    """Connected regions, after removing specks and closing gaps."""
    kernels = [cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)) for size in map(_odd, (speck_px, gap_px))]
    # OpenCV treats pixels beyond the border as set and would close everything near it.
    rim = max(kernel.shape[0] for kernel in kernels)
    around = cv2.copyMakeBorder(mask, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(0,))
    cleaned = cv2.morphologyEx(around, cv2.MORPH_OPEN, kernels[0])
    cleaned = cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, kernels[1])
    contours = cv2.findContours(cleaned, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    large = [contour for contour in contours if cv2.contourArea(contour) + len(contour) / 2 >= smallest_px]
    return [Blob.around(contour[:, 0].astype(np.float64) - rim) for contour in large]


def _between(picture: Picture, lowest: int, highest: int) -> Picture:
    mask: Picture = cv2.inRange(picture, np.array(lowest), np.array(highest))
    return mask


def _odd(size_px: float) -> int:
    return max(3, 2 * round((size_px - 1) / 2) + 1)
