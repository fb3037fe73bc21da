"""The mapping from pixels of the reference frame to metres on the ground, and the camera."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.arrays import Floats
from tracker.geodesy import Plane
from tracker.geometry import metres_per_pixel
from tracker.reference import Frame


@dataclass(frozen=True, eq=False)
class Ground:
    """`to_world` maps pixels of the reference frame to metres (3 x 3). `source` says what it was made from.

    `residual_m` is the RMS distance between given and computed world points; 0 for one known length. `plane`
    georeferences the metres, if the points have WGS84 coordinates. `focal_px` is the camera's focal length. Given
    coordinates are metres from `origin_m`.
    """

    to_world: Floats
    source: str
    residual_m: float
    metres_per_pixel: float
    camera_m: Floats
    frame: Frame
    road_polygon_px: Floats
    plane: Plane | None = None
    focal_px: float = math.nan
    origin_m: tuple[float, float] = (0.0, 0.0)

    def write(self, path: Path) -> None:
        """Write `ground.json`."""
        data = {
            "to_world": self.to_world.tolist(),
            "source": self.source,
            "residual_m": self.residual_m,
            "metres_per_pixel": self.metres_per_pixel,
            "camera_m": self.camera_m.tolist(),
            "focal_px": self.focal_px if math.isfinite(self.focal_px) else None,
            "frame": {"time_s": self.frame.time_s, "width_px": self.frame.width_px, "height_px": self.frame.height_px},
            "origin_m": list(self.origin_m),
            "road_polygon_px": self.road_polygon_px.tolist(),
            "plane": None if self.plane is None else self.plane.as_json(),
        }
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Ground:
        """Read `ground.json`."""
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
            data.get("focal_px") or math.nan,
            tuple(data.get("origin_m", (0.0, 0.0))),
        )


def ground_scale(to_world: Floats, frame: Frame) -> float:
    """Metres per pixel at the centre of a frame."""
    return metres_per_pixel(to_world, np.array([frame.width_px / 2, frame.height_px / 2]))
