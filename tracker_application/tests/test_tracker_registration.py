"""A frame is laid over the reference frame to a fraction of a pixel, also in another light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tracker.geometry import transform
from tracker.registration import Registration, propose_points

WIDTH, HEIGHT = 960, 540
GRID = np.stack(np.meshgrid(np.linspace(50, 910, 6), np.linspace(50, 490, 4)), -1).reshape(-1, 2)


@pytest.mark.parametrize(("gain", "level"), [(1.0, 0.0), (0.6, 10.0), (0.45, 90.0), (1.4, -30.0)])
def test_clouds_change_nothing_of_where_a_frame_lies(gain: float, level: float) -> None:
    random = np.random.default_rng(5)
    ground = cv2.resize(
        random.integers(70, 180, (HEIGHT // 6, WIDTH // 6), dtype=np.uint8),
        (WIDTH, HEIGHT),
        interpolation=cv2.INTER_CUBIC,
    )
    true = np.array([[0.9998, -0.012, 4.3], [0.012, 0.9998, -6.6], [0.0, 0.0, 1.0]])
    seen = cv2.warpPerspective(ground, true, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    lit = np.clip(gain * seen.astype(np.float32) + level, 0, 255).astype(np.uint8)
    registered = Registration(ground, propose_points(ground)).follow(
        lit, np.eye(3) + [[0, 0, 4], [0, 0, -6], [0, 0, 0]]
    )
    assert registered is not None
    assert registered.inliers.sum() >= 30
    errors = np.hypot(*(transform(registered.to_reference, transform(true, GRID)) - GRID).T)
    assert errors.mean() < 0.05
    assert errors.max() < 0.15
