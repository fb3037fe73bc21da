"""The sun, clouds, and sensor noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Floats, Picture

LIGHTINGS = ("steady", "clouds")
NOISE_STRENGTH = 2.2
NOISE_MARGIN_PX = 256


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction of shadows (metres per metre of height), their darkness, and whether clouds pass."""

    shadow: Floats
    strength: float
    lighting: str

    def at(self, time_s: float) -> tuple[float, float]:
        """Brightness, and darkness of shadows: under a cloud it is darker and there are no shadows."""
        if self.lighting == "steady":
            return 1.0, self.strength
        clear = 0.5 + 0.5 * math.tanh(3 * math.sin(2 * math.pi * (time_s + 2) / 21))
        return 0.72 + 0.33 * clear + 0.03 * math.sin(2 * math.pi * time_s / 5), self.strength * (0.12 + 0.88 * clear)


def sun_of(seed: int, lighting: str) -> Sun:
    """The sun of a seed: another seed is another time of day."""
    random = np.random.default_rng([seed, 5])
    bearing, length = random.uniform(0, 2 * math.pi), random.uniform(0.45, 1.0)
    shadow = length * np.array([math.cos(bearing), math.sin(bearing)])
    return Sun(shadow, float(random.uniform(0.42, 0.58)), lighting)


class Grain:
    """Sensor noise: each frame uses a random window of a larger field."""

    def __init__(self, seed: int, width_px: int, height_px: int) -> None:
        self.random = np.random.default_rng([seed, 9])
        size = (height_px + NOISE_MARGIN_PX, width_px + NOISE_MARGIN_PX)
        noise = self.random.standard_normal(size, np.float32) * NOISE_STRENGTH
        # Noise of neighbouring pixels is correlated, as by demosaicing.
        noise = 1.25 * cv2.GaussianBlur(noise, (0, 0), 0.55)
        self.brighter = np.round(np.maximum(noise, 0)).astype(np.uint8)
        self.darker = np.round(np.maximum(-noise, 0)).astype(np.uint8)
        self.size = (height_px, width_px)

    def onto(self, luma: Picture) -> Picture:
        """Add the noise of the next frame."""
        height, width = self.size
        down, right = self.random.integers(0, NOISE_MARGIN_PX, 2).tolist()
        window = np.s_[down : down + height, right : right + width]
        cv2.add(luma, self.brighter[window], dst=luma)
        return cv2.subtract(luma, self.darker[window], dst=luma)
