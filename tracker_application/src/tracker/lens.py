"""Lens distortion: maps points between the filmed and the undistorted image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.geometry import scaling

ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Lens:
    """Radial distortion (Brown): a point at radius r is filmed at r (1 + k1 r^2 + k2 r^4); r is 1 at 45 degrees.

    The undistorted image has the size, the centre and the central scale of the filmed one.
    """

    width_px: int
    height_px: int
    horizontal_fov_deg: float
    k1: float = 0.0
    k2: float = 0.0

    @property
    def bends(self) -> bool:
        """Whether there is any distortion."""
        return bool(self.k1 or self.k2)

    @property
    def _focal_px(self) -> float:
        return self.width_px / 2 / math.tan(math.radians(self.horizontal_fov_deg) / 2)

    @property
    def _middle_px(self) -> Floats:
        return np.array([self.width_px - 1, self.height_px - 1]) / 2

    def filmed(self, points_px: Floats) -> Floats:
        """Points of the undistorted image (n x 2) in the filmed one."""
        if not self.bends:
            return points_px
        flat = (points_px - self._middle_px) / self._focal_px
        filmed: Floats = flat * self._stretch(flat) * self._focal_px + self._middle_px
        return filmed

    def undistorted(self, points_px: Floats) -> Floats:
        """Points of the filmed image (n x 2) in the undistorted one."""
        if not self.bends:
            return points_px
        bent = (points_px - self._middle_px) / self._focal_px
        flat = bent
        for _ in range(ROUNDS):
            flat = bent / self._stretch(flat)
        straight: Floats = flat * self._focal_px + self._middle_px
        return straight

    def _stretch(self, flat: Floats) -> Floats:
        squared = np.sum(flat**2, axis=1, keepdims=True)
        stretch: Floats = 1 + self.k1 * squared + self.k2 * squared**2
        return stretch

    def straighten(self, picture: Picture) -> Picture:
        """Undistort an image of any size and depth."""
        return cv2.remap(picture, *self.maps(*picture.shape[1::-1]), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def maps(self, width_px: int, height_px: int) -> tuple[Floats, Floats]:
        """Maps for `cv2.remap` of a filmed image that was resized to this size."""
        scale = scaling(width_px / self.width_px)
        x, y = np.meshgrid(np.arange(width_px), np.arange(height_px))
        places = (np.column_stack([x.ravel(), y.ravel()]) - scale[:2, 2]) / scale[0, 0]
        filmed = (self.filmed(places) * scale[0, 0] + scale[:2, 2]).reshape(height_px, width_px, 2).astype(np.float32)
        first, second = cv2.convertMaps(filmed[:, :, 0], filmed[:, :, 1], cv2.CV_16SC2)
        return first, second
