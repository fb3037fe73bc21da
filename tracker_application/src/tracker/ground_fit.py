"""Computes the mapping from pixels to metres: from world points and a camera pose, or from a known length."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tracker.arrays import Flags, Floats
from tracker.camera import CLICK_PX, FEWEST_POINTS, Fit, Intrinsics, Pose, fit_pose, pose_of_homography
from tracker.geometry import transform
from tracker.reference import ReferencePoints

# Value of F (2 and some degrees of freedom) above which a worse fit is significant.
SIGNIFICANT = 9.0
# Least share of points that a valid camera must see where they were clicked.
FEWEST_USED = 0.7


@dataclass(frozen=True, eq=False)
class GroundFit:
    """The mapping from pixels to metres, and its uncertainty.

    `source` is `world points` or `known length`. `model` is `camera` if a camera with the given lens explains the
    points, `homography` if none does, and `straight down` for a known length. `errors_m` and `errors_px` are the errors
    of the world points, `left_out` the ones not used. `position_std_m` is the standard deviation of the camera position
    (x, y, z); NaN if unknown.
    """

    to_world: Floats
    pose: Pose
    source: str
    model: str
    errors_m: dict[str, float]
    errors_px: dict[str, float]
    left_out: tuple[str, ...]
    position_std_m: Floats

    @property
    def residual_m(self) -> float:
        """RMS over the points used; 0 for a known length."""
        return _rms([error for name, error in self.errors_m.items() if name not in self.left_out])

    @property
    def residual_px(self) -> float:
        """The same, in pixels of the reference frame."""
        return _rms([error for name, error in self.errors_px.items() if name not in self.left_out])


def fit_to_world(points: ReferencePoints, intrinsics: Intrinsics) -> GroundFit:
    """Fit the mapping; world points take precedence over a known length.

    A camera pose (6 unknowns) is far better determined than a homography (8), and is preferred unless the homography
    fits significantly better: then the lens is not as given. With a known length alone, the camera is assumed to look
    straight down; the origin is then the centre of the frame, x right, y up.
    """
    world = points.world_points
    if len(world) >= FEWEST_POINTS:
        pixels = np.array([[point.x_px, point.y_px] for point in world], np.float64)
        metres = np.array([[point.x_m, point.y_m] for point in world], np.float64)
        return _fit_world_points([point.name for point in world], metres, pixels, intrinsics)
    if points.known_length is None:
        raise ValueError("checked points have a scale")
    scale = points.known_length.metres_per_pixel
    centre = (points.frame.width_px - 1) / 2, (points.frame.height_px - 1) / 2
    matrix = np.array([[scale, 0, -scale * centre[0]], [0, -scale, scale * centre[1]], [0, 0, 1]])
    pose, _ = pose_of_homography(matrix, intrinsics)
    return GroundFit(matrix, pose, "known length", "straight down", {}, {}, (), np.full(3, np.nan))


def _fit_world_points(names: list[str], metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> GroundFit:
    fit = fit_pose(metres, pixels, intrinsics)
    if fit is not None and fit.used.mean() >= FEWEST_USED and _fits(fit, metres, pixels, intrinsics):
        to_world = fit.pose.to_world(intrinsics)
        return _ground_fit(to_world, fit.pose, "camera", names, metres, pixels, fit.used, fit.position_std_m)
    everywhere = np.ones(len(names), bool)
    plain, _ = cv2.findHomography(pixels, metres, 0)
    pose, _ = pose_of_homography(plain, intrinsics)
    return _ground_fit(plain, pose, "homography", names, metres, pixels, everywhere, np.full(3, np.nan))


def _fits(fit: Fit, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> bool:
    """Whether a camera explains its points not significantly worse than a homography."""
    metres, pixels = metres[fit.used], pixels[fit.used]
    plain, _ = cv2.findHomography(metres, pixels, 0)
    by_homography = float(((transform(plain, metres) - pixels) ** 2).sum())
    by_camera = float((fit.pose.residuals_px(metres, pixels, intrinsics) ** 2).sum())
    noise = max(CLICK_PX**2, by_homography / max(1, 2 * len(metres) - 8))
    return by_camera - by_homography <= 2 * SIGNIFICANT * noise


def _ground_fit(  # noqa: PLR0913, PLR0917  what a fit is made of
    to_world: Floats, pose: Pose, model: str, names: list[str], metres: Floats, pixels: Floats, used: Flags,
    position_std_m: Floats,
) -> GroundFit:  # fmt: skip
    off_m = np.hypot(*(transform(to_world, pixels) - metres).T)
    off_px = np.hypot(*(transform(np.linalg.inv(to_world), metres) - pixels).T)
    left_out = tuple(name for name, kept in zip(names, used, strict=True) if not kept)
    return GroundFit(
        to_world, pose, "world points", model, dict(zip(names, off_m.tolist(), strict=True)),
        dict(zip(names, off_px.tolist(), strict=True)), left_out, position_std_m,
    )  # fmt: skip


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else 0.0
