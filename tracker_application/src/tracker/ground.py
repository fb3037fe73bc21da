"""From pixels of the reference frame to metres on the ground, and where the camera is."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats
from tracker.geodesy import Plane
from tracker.geometry import metres_per_pixel, transform
from tracker.reference import Frame, ReferencePoints


@dataclass(frozen=True, eq=False)
class Pose:
    """The camera at one moment: `position_m` in the world (z up), and how it is turned.

    `yaw_deg` is where the picture's top points, counter-clockwise from the world's y axis. `tilt_deg` is how far from
    straight down the camera looks. `residual_px` is how badly the homography fits such a camera.
    """

    position_m: Floats
    yaw_deg: float
    tilt_deg: float
    residual_px: float


@dataclass(frozen=True, eq=False)
class Ground:
    """`to_world` takes pixels of the reference frame to metres (3 x 3). `source` says what it was made from.

    `residual_m` is the distance between given and computed world points, RMS; 0 for one known length. `plane` says
    where on earth the metres are; None where the points did not say.
    """

    to_world: Floats
    source: str
    residual_m: float
    metres_per_pixel: float
    camera_m: Floats
    frame: Frame
    road_polygon_px: Floats
    plane: Plane | None = None

    def write(self, path: Path) -> None:
        """Write `ground.json`."""
        data = {
            "to_world": self.to_world.tolist(),
            "source": self.source,
            "residual_m": self.residual_m,
            "metres_per_pixel": self.metres_per_pixel,
            "camera_m": self.camera_m.tolist(),
            "frame": {"time_s": self.frame.time_s, "width_px": self.frame.width_px, "height_px": self.frame.height_px},
            "road_polygon_px": self.road_polygon_px.tolist(),
            "plane": None if self.plane is None else self.plane.as_json(),
        }
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Ground:
        """Read `ground.json` back."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            np.array(data["to_world"]),
            data["source"],
            data["residual_m"],
            data["metres_per_pixel"],
            np.array(data["camera_m"]),
            Frame(**data["frame"]),
            np.array(data["road_polygon_px"]).reshape(-1, 2),
            Plane.from_json(data["plane"]) if data.get("plane") else None,
        )


def fit_to_world(points: ReferencePoints) -> tuple[Floats, str, dict[str, float]]:
    """The 3 x 3 matrix from pixels to metres, what it was made from, and how far each world point is off (metres).

    World points go before a known length. With that alone the origin is the centre of the frame, x right, y up.
    """
    world = points.world_points
    if world and len(world) >= 4:  # noqa: PLR2004  a homography has eight unknowns
        pixels = np.array([[point.x_px, point.y_px] for point in world], np.float64)
        metres = np.array([[point.x_m, point.y_m] for point in world], np.float64)
        matrix, _ = cv2.findHomography(pixels, metres, 0)
        off = np.hypot(*(transform(matrix, pixels) - metres).T)
        return matrix, "world points", {point.name: float(value) for point, value in zip(world, off, strict=True)}
    if points.known_length is None:
        raise ValueError("checked points have a scale")
    scale = points.known_length.metres_per_pixel
    centre = (points.frame.width_px - 1) / 2, (points.frame.height_px - 1) / 2
    matrix = np.array([[scale, 0, -scale * centre[0]], [0, -scale, scale * centre[1]], [0, 0, 1]])
    return matrix, "known length", {}


def camera_pose(to_world: Floats, width_px: int, height_px: int, field_of_view_deg: float) -> Pose:
    """The camera that sees the ground as `to_world` says, by PnP on a grid of ground points."""
    focal = width_px / 2 / math.tan(math.radians(field_of_view_deg) / 2)
    intrinsics = np.array([[focal, 0, (width_px - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1]])
    across, down = np.meshgrid(np.linspace(0.1, 0.9, 5) * width_px, np.linspace(0.1, 0.9, 4) * height_px)
    pixels = np.column_stack([across.ravel(), down.ravel()])
    metres = np.column_stack([transform(to_world, pixels), np.zeros(len(pixels))])
    _, turn, shift = cv2.solvePnP(metres, pixels, intrinsics, None, flags=cv2.SOLVEPNP_IPPE)
    seen, _ = cv2.projectPoints(metres, turn, shift, intrinsics, None)
    residual = float(np.sqrt(np.mean(np.sum((seen[:, 0] - pixels) ** 2, axis=1))))
    rotation = cv2.Rodrigues(turn)[0]
    position = (-rotation.T @ shift)[:, 0]
    top = -rotation[1]
    yaw = math.degrees(math.atan2(-top[0], top[1]))
    tilt = math.degrees(math.acos(float(np.clip(-rotation[2, 2], -1, 1))))
    return Pose(position, yaw, tilt, residual)


def ground_scale(to_world: Floats, frame: Frame) -> float:
    """Metres a pixel in the middle of a frame."""
    return metres_per_pixel(to_world, np.array([frame.width_px / 2, frame.height_px / 2]))
