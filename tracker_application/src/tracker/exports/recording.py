"""The data that all formats are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from tracker.arrays import Floats
from tracker.geometry import transform
from tracker.ground import Ground
from tracker.tables import Table, groups

# The formats number recordings; this is the only one.
RECORDING_ID = 1


@dataclass(frozen=True, eq=False)
class Recording:
    """The trajectories of one film, one row per vehicle and moment.

    `frames` and `times_s` are all possible moments; `steps` is the index of each row's moment among them.
    `to_reference` maps the pixels of a moment's frame to the reference frame (moments x 3 x 3).
    """

    tracks: Table
    vehicles: Table
    ground: Ground
    lanes: Mapping[str, Floats]
    frames: NDArray[np.int64]
    times_s: Floats
    to_reference: Floats

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Counts from 0 and increases by one from row to row of a vehicle, even if rows were omitted."""
        return np.searchsorted(self.frames, self.tracks["frame"]).astype(np.int64)

    @cached_property
    def rate_hz(self) -> float:
        """Moments per second."""
        return 1 / float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 0.0

    @cached_property
    def places(self) -> Floats:
        """N x 2 metres."""
        return np.column_stack([self.tracks["x_m"], self.tracks["y_m"]])

    @cached_property
    def reference_px(self) -> Floats:
        """N x 2 pixels of the reference frame."""
        return transform(np.linalg.inv(self.ground.to_world), self.places)

    @cached_property
    def degrees(self) -> Floats | None:
        """N x 2 latitudes and longitudes; None without georeference."""
        return None if self.ground.plane is None else self.ground.plane.degrees(self.places)

    @cached_property
    def accelerations(self) -> Floats:
        """N x 2, m/s2 along x and y: derivative of each vehicle's velocity."""
        accelerations = np.zeros((len(self.tracks["track_id"]), 2))
        for number in np.unique(self.tracks["track_id"]):
            rows = np.flatnonzero(self.tracks["track_id"] == number)
            if len(rows) > 1:
                velocity = np.column_stack([self.tracks["vx_m_s"][rows], self.tracks["vy_m_s"][rows]])
                accelerations[rows] = np.gradient(velocity, self.tracks["time_s"][rows], axis=0)
        return accelerations

    @cached_property
    def corners(self) -> Floats:
        """N x 4 x 2 metres: front left, front right, back right, back left of each vehicle."""
        heading = np.radians(self.tracks["heading_deg"])
        along = np.column_stack([np.cos(heading), np.sin(heading)]) * self.tracks["length_m"][:, None] / 2
        left = np.column_stack([-np.sin(heading), np.cos(heading)]) * self.tracks["width_m"][:, None] / 2
        centred = np.stack([along + left, along - left, -along - left, -along + left], axis=1)
        boxes: Floats = self.places[:, None] + centred
        return boxes

    def by_vehicle(self) -> dict[int, Table]:
        """The rows of each vehicle, with `row`: their index in `tracks`."""
        rows = np.arange(len(self.tracks["track_id"]))
        return groups(self.tracks | {"row": rows}, "track_id")


@cache
def lane_number(lane_id: str) -> int:
    """For formats that number lanes: L3 is 3, no lane is 0."""
    digits = "".join(letter for letter in lane_id if letter.isdigit())
    return int(digits) if digits else 0
