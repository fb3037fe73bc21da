"""The camera above flat ground: focal length, position and orientation (PnP).

World coordinates are metres, z up, the ground at 0. Pixels are those of an undistorted image whose centre is the
optical axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import cv2
import numpy as np

from tracker.arrays import Flags, Floats
from tracker.errors import PointsInvalid
from tracker.geometry import transform
from tracker.least_squares import minimize

FILM_WIDTH_MM = 36.0
# A pose has six unknowns and a point gives two equations; a fourth point decides between two solutions.
FEWEST_POINTS = 4
# All groups of four up to this many points; beyond that, as many random groups.
MOST_GROUPS = 500
# Outliers exceed this multiple of the median residual, or this many pixels of a 4K image.
OUTLIER_SPREADS, OUTLIER_PX_AT_4K, WIDTH_4K_PX = 5.0, 6.0, 3840
CLICK_PX = 0.5
CALIBRATION_FRAMES = 25
# Rotation vector and translation.
POSE_VALUES = 6
# Registration is more accurate, but its errors are correlated across frames (they share one reference frame): treated
# as independent, they would make a wrong focal length look certain.
REGISTRATION_PX_AT_4K = 1.0


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A camera without distortion, with square pixels and its axis through the image centre."""

    width_px: int
    height_px: int
    focal_px: float

    @classmethod
    def from_field_of_view(cls, width_px: int, height_px: int, degrees: float) -> Intrinsics:
        """From the horizontal field of view in degrees."""
        return cls(width_px, height_px, width_px / 2 / math.tan(math.radians(degrees) / 2))

    @property
    def horizontal_fov_deg(self) -> float:
        """From the left to the right border."""
        return 2 * math.degrees(math.atan(self.width_px / 2 / self.focal_px))

    @property
    def matrix(self) -> Floats:
        """3 x 3: camera directions to pixels."""
        across, down = (self.width_px - 1) / 2, (self.height_px - 1) / 2
        return np.array([[self.focal_px, 0, across], [0, self.focal_px, down], [0, 0, 1.0]])

    def grid(self, columns: int = 6, rows: int = 4) -> Floats:
        """Pixels spread over the image, n x 2."""
        xs = np.linspace(0.05, 0.95, columns) * self.width_px
        ys = np.linspace(0.05, 0.95, rows) * self.height_px
        return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Pose:
    """The camera at one moment. `vector`: rotation vector (world to camera) and translation, 6 values."""

    vector: Floats

    @cached_property
    def rotation(self) -> Floats:
        """3 x 3, world to camera."""
        rotation: Floats = cv2.Rodrigues(self.vector[:3])[0]
        return rotation

    @property
    def position_m(self) -> Floats:
        """X, y, z of the camera in the world."""
        place: Floats = -self.rotation.T @ self.vector[3:]
        return place

    @property
    def yaw_deg(self) -> float:
        """Where the top of the image points, counter-clockwise from the world's y axis."""
        top = -self.rotation[1]
        return math.degrees(math.atan2(-top[0], top[1]))

    @property
    def tilt_deg(self) -> float:
        """Angle between the viewing direction and straight down."""
        return math.degrees(math.acos(float(np.clip(-self.rotation[2, 2], -1, 1))))

    def to_world(self, intrinsics: Intrinsics) -> Floats:
        """3 x 3: pixels to metres on the ground."""
        to_pixels = intrinsics.matrix @ np.column_stack([self.rotation[:, :2], self.vector[3:]])
        inverse: Floats = np.linalg.inv(to_pixels)
        normal: Floats = inverse / inverse[2, 2]
        return normal

    def residuals_px(self, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Floats:
        """Offsets of the observed pixels from the projections of the ground points, n x 2."""
        left: Floats = _seen(self.vector, metres, intrinsics.matrix) - pixels
        return left


@dataclass(frozen=True, eq=False)
class Fit:
    """A pose from points: the points used, and the position's standard deviation (x, y, z; metres)."""

    pose: Pose
    used: Flags
    position_std_m: Floats


def fit_pose(metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Fit | None:
    """The pose that projects ground points (n x 2 metres) to pixels (n x 2), robust to outliers.

    Chooses the pose with the lowest median residual among those of all groups of four, then refines it by least squares
    over all inliers. None if no pose sees the points.
    """
    groups = list(combinations(range(len(metres)), FEWEST_POINTS))
    if len(groups) > MOST_GROUPS:
        chosen = np.random.default_rng(0).choice(len(groups), MOST_GROUPS, replace=False)
        groups = [groups[index] for index in chosen]
    best, best_px = None, math.inf
    for group in [tuple(range(len(metres))), *groups]:
        pose = _solve(metres[list(group)], pixels[list(group)], intrinsics)
        if pose is not None:
            middle_px = float(np.median(np.hypot(*pose.residuals_px(metres, pixels, intrinsics).T)))
            if middle_px < best_px:
                best, best_px = pose, middle_px
    if best is None:
        return None
    used = np.ones(len(metres), bool)
    if len(metres) > FEWEST_POINTS + 1:  # with five points, the wrong one cannot be identified
        off = np.hypot(*best.residuals_px(metres, pixels, intrinsics).T)
        limit = max(OUTLIER_SPREADS * best_px, OUTLIER_PX_AT_4K * intrinsics.width_px / WIDTH_4K_PX)
        used = off <= limit
        if int(used.sum()) <= len(metres) / 2 or int(used.sum()) < FEWEST_POINTS:
            used = np.ones(len(metres), bool)
    pose = refine(best, metres[used], pixels[used], intrinsics)
    return Fit(pose, used, _position_std(pose, metres[used], pixels[used], intrinsics))


def refine(start: Pose, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Pose:
    """Refine `start` to fit ground points (n x 2), by Levenberg-Marquardt."""
    turn, shift = cv2.solvePnPRefineLM(
        _on_ground(metres),
        pixels,
        intrinsics.matrix,
        None,
        start.vector[:3, None].copy(),
        start.vector[3:, None].copy(),
    )
    return Pose(np.concatenate([turn.ravel(), shift.ravel()]))


def pose_of_homography(to_world: Floats, intrinsics: Intrinsics, start: Pose | None = None) -> tuple[Pose, float]:
    """The pose that matches the homography `to_world`, and its RMS error in pixels.

    `start` is a nearby pose, for example of the previous frame. Raises PointsInvalid without one, if none matches.
    """
    pixels = intrinsics.grid()
    metres = transform(to_world, pixels)
    start = start or _solve(metres, pixels, intrinsics)
    if start is None:
        raise PointsInvalid(
            "no camera can see the ground as the reference points say",
            remedy="Check their coordinates: they must be right-handed, such as x east and y north",
        )
    pose = refine(start, metres, pixels, intrinsics)
    return pose, float(np.sqrt(np.mean(np.sum(pose.residuals_px(metres, pixels, intrinsics) ** 2, axis=1))))


def calibrate(
    metres: Floats, pixels: Floats, to_reference: Floats, intrinsics: Intrinsics
) -> tuple[Intrinsics, float] | None:
    """The focal length that best explains world points and the frames' homographies, and its relative uncertainty.

    `to_reference` are homographies of frames (n x 3 x 3); `intrinsics` is the initial guess. The poses of some frames
    and the focal length are fitted together. A camera that always looks straight down hardly determines its focal
    length: the uncertainty is then large. None if nothing fits.
    """
    chosen = np.unique(np.linspace(0, len(to_reference) - 1, CALIBRATION_FRAMES).round().astype(int))
    to_frame = np.linalg.inv(to_reference[chosen])
    grid = intrinsics.grid()
    first = fit_pose(metres, pixels, intrinsics)
    if first is None:
        return None
    world, seen = metres[first.used], pixels[first.used]
    in_frames = np.array([transform(matrix, grid) for matrix in to_frame])

    def misfit(unknown: Floats) -> Floats:
        """World points in the reference frame, and the reference frame's grid in each frame, mapped via the ground."""
        own = Intrinsics(intrinsics.width_px, intrinsics.height_px, intrinsics.focal_px * math.exp(unknown[0]))
        poses = unknown[1:].reshape(-1, POSE_VALUES) * scale
        clicked = (_seen(poses[0], world, own.matrix) - seen) / CLICK_PX
        on_ground = transform(Pose(poses[0]).to_world(own), grid)
        moved = (_seen_by_all(poses[1:], on_ground, own.matrix) - in_frames) / registration_px
        return np.concatenate([clicked.ravel(), moved.ravel()])

    def jacobian_of(unknown: Floats) -> Floats:
        """By forward differences, of all frames' poses at once: a frame's residuals depend only on its own pose."""
        at = misfit(unknown)
        steps = math.sqrt(np.finfo(float).eps) * np.where(unknown < 0, -1, 1) * np.maximum(1, np.abs(unknown))
        clicked, per_frame = 2 * len(world), 2 * len(grid)
        slopes = np.zeros((len(at), len(unknown)))
        for column in range(1 + POSE_VALUES):  # the focal length and the reference frame's pose affect all residuals
            moved = unknown.copy()
            moved[column] += steps[column]
            slopes[:, column] = (misfit(moved) - at) / (moved[column] - unknown[column])
        for value in range(POSE_VALUES):
            columns = np.arange(1 + POSE_VALUES + value, len(unknown), POSE_VALUES)
            moved = unknown.copy()
            moved[columns] += steps[columns]
            change = (misfit(moved) - at)[clicked:].reshape(len(columns), per_frame)
            rows = clicked + np.arange(len(columns) * per_frame).reshape(len(columns), per_frame)
            slopes[rows, columns[:, None]] = change / (moved[columns] - unknown[columns])[:, None]
        return slopes

    reference = first.pose
    scale = np.array([1, 1, 1, *np.full(3, max(abs(reference.position_m[2]), 1e-6))])
    registration_px = REGISTRATION_PX_AT_4K * intrinsics.width_px / WIDTH_4K_PX
    started = [reference.vector]
    for matrix in to_reference[chosen]:
        pose, _ = pose_of_homography(reference.to_world(intrinsics) @ matrix, intrinsics, reference)
        started.append(pose.vector)
    unknown = np.concatenate([[0.0], (np.array(started) / scale).ravel()])
    found = minimize(misfit, jacobian_of, unknown)
    spread = max(1.0, 2 * found.cost / max(1, len(found.residuals) - len(unknown)))
    std = float(np.sqrt(np.linalg.pinv(found.jacobian.T @ found.jacobian)[0, 0] * spread))
    focal_px = intrinsics.focal_px * math.exp(found.unknown[0])
    return Intrinsics(intrinsics.width_px, intrinsics.height_px, focal_px), std


def _on_ground(metres: Floats) -> Floats:
    return np.column_stack([metres, np.zeros(len(metres))])


def _seen(vector: Floats, metres: Floats, matrix: Floats) -> Floats:
    """Projections of ground points."""
    rotation = cv2.Rodrigues(vector[:3])[0]
    return transform(matrix @ np.column_stack([rotation[:, :2], vector[3:]]), metres)


def _seen_by_all(vectors: Floats, metres: Floats, matrix: Floats) -> Floats:
    """Projections of ground points by each of several poses (n x 6), n x points x 2."""
    turns = np.array([cv2.Rodrigues(vector[:3])[0] for vector in vectors])
    to_pixels = matrix @ np.concatenate([turns[:, :, :2], vectors[:, 3:, None]], axis=2)
    moved = np.column_stack([metres, np.ones(len(metres))]) @ to_pixels.transpose(0, 2, 1)
    seen: Floats = moved[:, :, :2] / moved[:, :, 2:]
    return seen


def _solve(metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Pose | None:
    """By the infinitesimal-plane method: of its two solutions, the better one above the ground."""
    count, turns, shifts, _ = cv2.solvePnPGeneric(
        _on_ground(metres), pixels, intrinsics.matrix, None, flags=cv2.SOLVEPNP_IPPE
    )
    for index in range(count):
        pose = Pose(np.concatenate([turns[index].ravel(), shifts[index].ravel()]))
        if np.isfinite(pose.vector).all() and pose.position_m[2] > 0:
            return pose
    return None


def _position_std(pose: Pose, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Floats:
    """Of the camera position, from the residuals (at least half a pixel, the accuracy of clicks)."""
    _, jacobian = cv2.projectPoints(_on_ground(metres), pose.vector[:3], pose.vector[3:], intrinsics.matrix, None)
    left = pose.residuals_px(metres, pixels, intrinsics)
    noise = max(CLICK_PX, float(np.sqrt((left**2).sum() / max(1, left.size - 6))))
    covariance = np.linalg.pinv(jacobian[:, :6].T @ jacobian[:, :6]) * noise**2
    step = 1e-6
    moves = np.array(
        [(Pose(pose.vector + step * axis).position_m - pose.position_m) / step for axis in np.eye(6)]
    ).T  # fmt: skip
    spread: Floats = np.sqrt(np.diag(moves @ covariance @ moves.T))
    return spread
