"""How vehicles on the ground look in the frames of the proxy.

A box in a frame is x, y (centre), angle (clockwise from x), length and width, in pixels that count from the centre of
the upper left one. It is around the whole visible vehicle, whose roof leans away from the point below the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from tracker.arrays import Floats
from tracker.contract import StageFiles
from tracker.geometry import corners, scaling, transform
from tracker.ground import Ground
from tracker.lean import camera_for
from tracker.parallax import BODIES, as_seen, on_ground
from tracker.proxy import Proxy
from tracker.tables import read_table


@dataclass(frozen=True, eq=False)
class View:
    """`to_metres` (n x 3 x 3) and `camera_m` (n x 3) have one row per frame."""

    width_px: int
    height_px: int
    times_s: Floats
    to_metres: Floats
    camera_m: Floats

    @classmethod
    def of(cls, proxy: Proxy, files: StageFiles) -> Self:
        """The view in a proxy, with the ground and the camera of earlier stages, and how far vehicles lean."""
        ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
        camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("x_m", "y_m", "z_m"))
        to_metres = ground.to_world @ proxy.matrices @ scaling(1 / proxy.factor)
        tracks = read_table(files.upstream("track_vehicles", "tracks.parquet"))
        camera_m = camera_for(tracks, np.column_stack([camera["x_m"], camera["y_m"], camera["z_m"]]))
        return cls(proxy.width_px, proxy.height_px, proxy.times_s, to_metres, camera_m)

    def seen(self, frame: int, kind: str, box_m: Floats) -> Floats:
        """The box in the frame of a vehicle on the ground."""
        return _mapped(np.linalg.inv(self.to_metres[frame]), self._outline_m(frame, kind, box_m))

    def stands(self, frame: int, kind: str, box_px: Floats) -> Floats:
        """The vehicle on the ground: centre, heading, length and width in metres and radians."""
        outline = _mapped(self.to_metres[frame], box_px)
        box: Floats = on_ground(outline[None], self.camera_m[frame], BODIES[kind])[0]
        return box

    def holds(self, frame: int, kind: str, box_m: Floats) -> bool:
        """Whether the whole outline of a vehicle is in the frame."""
        outline = corners(*self._outline_m(frame, kind, box_m).tolist())
        x, y = transform(np.linalg.inv(self.to_metres[frame]), outline).T
        return bool(x.min() >= 0 and y.min() >= 0 and x.max() <= self.width_px - 1 and y.max() <= self.height_px - 1)

    def touches(self, box_px: Floats) -> bool:
        """Whether the upright rectangle around a box in a frame is partly in it."""
        x, y = corners(*box_px.tolist()).T
        return bool(x.max() >= 0 and y.max() >= 0 and x.min() <= self.width_px - 1 and y.min() <= self.height_px - 1)

    def _outline_m(self, frame: int, kind: str, box_m: Floats) -> Floats:
        outline: Floats = as_seen(box_m[None], self.camera_m[frame], BODIES[kind])[0]
        return outline


def _mapped(matrix: Floats, box: Floats) -> Floats:
    """A box through a homography that hardly distorts it."""
    along = np.array([np.cos(box[2]), np.sin(box[2])]) * box[3] / 2
    aside = np.array([-np.sin(box[2]), np.cos(box[2])]) * box[4] / 2
    centre, front, side = transform(matrix, box[:2] + np.array([[0.0, 0.0], along, aside]))
    ahead = front - centre
    return np.array([*centre, np.arctan2(ahead[1], ahead[0]), 2 * np.hypot(*ahead), 2 * np.hypot(*(side - centre))])
