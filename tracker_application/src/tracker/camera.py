"""The camera above flat ground: its lens as a focal length, and where it is and how it is turned (PnP).

World: metres, z up, the ground at 0. Pixels are those of an undistorted picture whose optical axis is its centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import cv2
import numpy as np

from tracker.arrays import Flags, Floats
from tracker.geometry import transform

FILM_WIDTH_MM = 36.0
# A pose has six unknowns, a point gives two equations; a fourth point decides between two solutions.
FEWEST_POINTS = 4
# All groups of four among so many points; of more, as many drawn at random.
MOST_GROUPS = 500
# So many times the median residual, or so many pixels of a 4K picture, makes a point an outlier.
OUTLIER_SPREADS, OUTLIER_PX_AT_4K, WIDTH_4K_PX = 5.0, 6.0, 3840
CLICK_PX = 0.5
CALIBRATION_FRAMES = 25
# Registration is better than this, but its errors are alike on all frames (they share one reference frame): taken for
# independent, they would make a wrong focal length look certain.
REGISTRATION_PX_AT_4K = 1.0


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A camera without distortion, square pixels, its axis through the middle of the picture."""

    width_px: int
    height_px: int
    focal_px: float

    @classmethod
    def from_field_of_view(cls, width_px: int, height_px: int, degrees: float) -> Intrinsics:
        """`degrees`: from the left to the right border."""
        return cls(width_px, height_px, width_px / 2 / math.tan(math.radians(degrees) / 2))

    @property
    def horizontal_fov_deg(self) -> float:
        """From the left to the right border."""
        return 2 * math.degrees(math.atan(self.width_px / 2 / self.focal_px))

    @property
    def matrix(self) -> Floats:
        """3 x 3: directions in the camera to pixels."""
        across, down = (self.width_px - 1) / 2, (self.height_px - 1) / 2
        return np.array([[self.focal_px, 0, across], [0, self.focal_px, down], [0, 0, 1.0]])

    def grid(self, columns: int = 6, rows: int = 4) -> Floats:
        """Pixels spread over the picture, n x 2."""
        xs = np.linspace(0.05, 0.95, columns) * self.width_px
        ys = np.linspace(0.05, 0.95, rows) * self.height_px
        return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Pose:
    """The camera at one moment. `vector` is a rotation vector (world to camera) and a translation: 6."""

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
        """Where the picture's top points, counter-clockwise from the world's y axis."""
        top = -self.rotation[1]
        return math.degrees(math.atan2(-top[0], top[1]))

    @property
    def tilt_deg(self) -> float:
        """How far from straight down the camera looks."""
        return math.degrees(math.acos(float(np.clip(-self.rotation[2, 2], -1, 1))))

    def to_world(self, intrinsics: Intrinsics) -> Floats:
        """3 x 3: pixels to metres on the ground."""
        to_pixels = intrinsics.matrix @ np.column_stack([self.rotation[:, :2], self.vector[3:]])
        inverse: Floats = np.linalg.inv(to_pixels)
        normal: Floats = inverse / inverse[2, 2]
        return normal

    def residuals_px(self, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Floats:
        """How far each ground point is seen from where this camera sees it, n x 2."""
        left: Floats = _seen(self.vector, metres, intrinsics.matrix) - pixels
        return left


@dataclass(frozen=True, eq=False)
class Fit:
    """A pose from points: which of them were used, and how uncertain the position is (x, y, z; metres)."""

    pose: Pose
    used: Flags
    position_std_m: Floats


def fit_pose(metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Fit | None:
    """The camera that sees ground points (n x 2 metres) at pixels (n x 2), robustly: points far off are left out.

    The best of the poses of all groups of four by the median residual, then least squares over all points that fit
    it. None where no pose sees the points.
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
    if len(metres) > FEWEST_POINTS + 1:  # of five points, nobody can say which is wrong
        off = np.hypot(*best.residuals_px(metres, pixels, intrinsics).T)
        limit = max(OUTLIER_SPREADS * best_px, OUTLIER_PX_AT_4K * intrinsics.width_px / WIDTH_4K_PX)
        used = off <= limit
        if int(used.sum()) <= len(metres) / 2 or int(used.sum()) < FEWEST_POINTS:
            used = np.ones(len(metres), bool)
    pose = refine(best, metres[used], pixels[used], intrinsics)
    return Fit(pose, used, _position_std(pose, metres[used], pixels[used], intrinsics))


def refine(start: Pose, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Pose:
    """The pose nearest to `start` that sees ground points (n x 2) best, by Levenberg and Marquardt."""
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
    """The camera whose picture lies on the ground as `to_world` says, and how badly it fits (RMS, pixels).

    `start` is a pose near by, of the frame before for example.
    """
    pixels = intrinsics.grid()
    metres = transform(to_world, pixels)
    start = start or _solve(metres, pixels, intrinsics)
    if start is None:
        raise ValueError("no camera sees the ground like this")
    pose = refine(start, metres, pixels, intrinsics)
    return pose, float(np.sqrt(np.mean(np.sum(pose.residuals_px(metres, pixels, intrinsics) ** 2, axis=1))))


def calibrate(
    metres: Floats, pixels: Floats, to_reference: Floats, intrinsics: Intrinsics
) -> tuple[Intrinsics, float] | None:
    """The focal length that explains world points and the frames' homographies best, and its relative uncertainty.

    `to_reference` are homographies of frames (n x 3 x 3); `intrinsics` is where the search begins. The poses of some
    frames and the focal length are fitted together. A camera that looks straight down all the time tells nearly
    nothing of its focal length: then the uncertainty is large. None where nothing fits.
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
        """World points in the reference frame; and the reference frame's grid in each frame, by way of the ground."""
        own = Intrinsics(intrinsics.width_px, intrinsics.height_px, intrinsics.focal_px * math.exp(unknown[0]))
        poses = unknown[1:].reshape(-1, 6) * scale
        clicked = (_seen(poses[0], world, own.matrix) - seen) / CLICK_PX
        on_ground = transform(Pose(poses[0]).to_world(own), grid)
        moved = [_seen(pose, on_ground, own.matrix) - there for pose, there in zip(poses[1:], in_frames, strict=True)]
        return np.concatenate([clicked.ravel(), (np.array(moved) / registration_px).ravel()])

    # Here, as it takes half a second to import, and most who know a camera do not calibrate one.
    from scipy.optimize import least_squares

    reference = first.pose
    scale = np.array([1, 1, 1, *np.full(3, max(abs(reference.position_m[2]), 1e-6))])
    registration_px = REGISTRATION_PX_AT_4K * intrinsics.width_px / WIDTH_4K_PX
    started = [reference.vector]
    for matrix in to_reference[chosen]:
        pose, _ = pose_of_homography(reference.to_world(intrinsics) @ matrix, intrinsics, reference)
        started.append(pose.vector)
    unknown = np.concatenate([[0.0], (np.array(started) / scale).ravel()])
    found = least_squares(misfit, unknown, x_scale="jac", max_nfev=60)
    jacobian = np.asarray(found.jac)
    spread = max(1.0, 2 * found.cost / max(1, len(found.fun) - len(unknown)))
    std = float(np.sqrt(np.linalg.pinv(jacobian.T @ jacobian)[0, 0] * spread))
    focal_px = intrinsics.focal_px * math.exp(found.x[0])
    return Intrinsics(intrinsics.width_px, intrinsics.height_px, focal_px), std


def _on_ground(metres: Floats) -> Floats:
    return np.column_stack([metres, np.zeros(len(metres))])


def _seen(vector: Floats, metres: Floats, matrix: Floats) -> Floats:
    """Pixels at which a camera sees ground points."""
    rotation = cv2.Rodrigues(vector[:3])[0]
    return transform(matrix @ np.column_stack([rotation[:, :2], vector[3:]]), metres)


def _solve(metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Pose | None:
    """By the infinitesimal-plane method; of its two solutions the one above the ground that fits better."""
    count, turns, shifts, _ = cv2.solvePnPGeneric(
        _on_ground(metres), pixels, intrinsics.matrix, None, flags=cv2.SOLVEPNP_IPPE
    )
    for index in range(count):
        pose = Pose(np.concatenate([turns[index].ravel(), shifts[index].ravel()]))
        if np.isfinite(pose.vector).all() and pose.position_m[2] > 0:
            return pose
    return None


def _position_std(pose: Pose, metres: Floats, pixels: Floats, intrinsics: Intrinsics) -> Floats:
    """Of the camera's place, from how well the points fit (half a pixel at least: so well a person clicks)."""
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
