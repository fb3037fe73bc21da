"""Frames are registered to a fraction of a pixel, also in different light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tracker.follower import Follower
from tracker.geometry import transform
from tracker.homography_fit import refined
from tracker.registration import Registration, propose_points
from tracker.stages.extract_frame import best_of_each

WIDTH, HEIGHT = 960, 540
GRID = np.stack(np.meshgrid(np.linspace(50, 910, 6), np.linspace(50, 490, 4)), -1).reshape(-1, 2)


@pytest.mark.parametrize(("gain", "level"), [(1.0, 0.0), (0.6, 10.0), (0.45, 90.0), (1.4, -30.0)])
def test_clouds_do_not_affect_registration(gain: float, level: float) -> None:
    random = np.random.default_rng(5)
    ground = cv2.resize(
        random.integers(70, 180, (HEIGHT // 6, WIDTH // 6), dtype=np.uint8),
        (WIDTH, HEIGHT),
        interpolation=cv2.INTER_CUBIC,
    )
    true = np.array([[0.9998, -0.012, 4.3], [0.012, 0.9998, -6.6], [0.0, 0.0, 1.0]])
    seen = cv2.warpPerspective(ground, true, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    lit = np.clip(gain * seen.astype(np.float32) + level, 0, 255).astype(np.uint8)
    registered = Registration(ground, propose_points(ground)[0]).follow(
        lit, np.eye(3) + [[0, 0, 4], [0, 0, -6], [0, 0, 0]]
    )
    assert registered is not None
    assert registered.inliers.sum() >= 30
    errors = np.hypot(*(transform(registered.to_reference, transform(true, GRID)) - GRID).T)
    assert errors.mean() < 0.05
    assert errors.max() < 0.15


def test_a_camera_that_drifts_and_jerks_is_followed() -> None:
    random = np.random.default_rng(8)
    ground = cv2.resize(
        random.integers(70, 180, (HEIGHT // 6, WIDTH // 6), dtype=np.uint8),
        (WIDTH, HEIGHT),
        interpolation=cv2.INTER_CUBIC,
    )
    follower = Follower(Registration(ground, propose_points(ground)[0]), 0.3)
    steps = [(3.0, 1.0)] * 6 + [(-14.0, 9.0)] + [(-2.0, -3.0)] * 5
    for time_s, (x, y) in enumerate(np.cumsum(steps, axis=0)):
        true = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        seen = cv2.warpPerspective(ground, true, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        registered = follower.step(seen, float(time_s))
        assert registered is not None
        assert np.hypot(*(transform(registered.to_reference, transform(true, GRID)) - GRID).T).max() < 0.1


@pytest.mark.parametrize("seed", range(20))
def test_sparse_points_in_a_corner_are_not_discarded(seed: int) -> None:
    random = np.random.default_rng(seed)
    true = np.array([[0.999, -0.012, 4.3], [0.012, 0.999, -6.6], [2e-6, 1e-6, 1.0]])
    many, few = random.uniform([2200, 0], [3840, 2160], (45, 2)), random.uniform([50, 50], [400, 500], (4, 2))
    here = np.concatenate([many, few])
    targets = transform(true, here) + random.normal(0, 0.05, here.shape)
    wrong = np.append(random.choice(45, 3, replace=False), 45)
    targets[wrong] += random.uniform(0.8, 1.8, (4, 2))
    # A typical MAGSAC result: right where points are dense, more than a pixel off where they are sparse.
    frame = np.array([[100, 100], [3840, 0], [3840, 2160], [2200, 2160]], np.float32)
    off = np.array([[1.2, -0.8], [0, 0], [0, 0], [0, 0]], np.float32)
    begun = cv2.getPerspectiveTransform(frame, transform(true, frame).astype(np.float32) + off)
    matrix, fit = refined(begun, here, targets, np.hypot(*(transform(begun, here) - targets).T) < 2)
    corner = np.array([[100.0, 100.0]])
    assert np.hypot(*(transform(matrix, corner) - transform(true, corner))[0]) < 0.15
    assert not fit[wrong].any()


def test_the_most_consistent_corner_of_each_cell_is_proposed() -> None:
    picture = np.full((HEIGHT, WIDTH), 100, np.uint8)
    picture[100:140, 100:140] = 255
    picture[420:460, 700:740] = 200
    corners, cells = propose_points(picture, each=3)
    assert 2 <= len(corners) <= 3 * 54
    assert np.bincount(cells).max() <= 3
    # The corners of the bright area, to a few pixels.
    true = [(x, y) for left, top in ((100, 100), (700, 420)) for x in (left, left + 40) for y in (top, top + 40)]
    assert np.hypot(*(corners[:, None] - np.array(true)[None]).transpose(2, 0, 1)).min(axis=1).max() < 5
    assert best_of_each(np.array([0, 0, 0, 4, 4, 7]), np.array([3, 6, 6, 0, 5, 0])) == [1, 4]
