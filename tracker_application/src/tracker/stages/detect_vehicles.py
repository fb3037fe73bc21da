"""Finds moving vehicles as oriented boxes: what differs from the median background and is no shadow.

Runs on the CPU. A vehicle that stands for more than half of the footage becomes background and is not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.background import median_picture
from tracker.contract import Report, StageFiles
from tracker.errors import InputMissing, NoVehicles
from tracker.foreground import RATIO_SCALE, Blob, Shadows, blobs, difference, foreground_mask, learn_shadows
from tracker.geometry import scaling, transform
from tracker.ground import Ground
from tracker.homographies import read_homographies
from tracker.parameters import parameter
from tracker.proxy import Proxy, open_proxy
from tracker.tables import from_rows, read_table, write_table

# Of a vehicle's outline: smaller differences are specks, narrower gaps belong to it (a windscreen like the road).
SPECK_M, GAP_M = 0.2, 0.7
LARGE_M = 7.0
# Finer pixels cost time and find no more vehicles.
FINEST_PIXEL_M, NARROWEST_PX = 0.035, 160
# How soft the edge of a shadow is, and on how many frames its darkness is learned.
SHADOW_EDGE_M = 0.35
SHADOW_SAMPLES = 9
LEAST_IN_VIEW = 0.7
# Measured on a rendered film: how far outlines are off, along each axis.
POSITION_STD_M = 0.1
COLUMNS = ("frame", "time_s", "x_m", "y_m", "heading_deg", "length_m", "width_m", "score", "whole", "x_px", "y_px")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be set."""

    detection_rate_hz: float = parameter(10.0, "how many frames a second are searched", minimum=0.5)
    detection_threshold: int = parameter(
        20, "grey levels that a vehicle differs from the road at least", minimum=3, maximum=200
    )
    background_samples: int = parameter(
        41, "frames the background is made from, over the whole video", minimum=5, maximum=255
    )
    working_width_px: int = parameter(1920, "width at most to which frames are reduced for the search", minimum=320)
    min_area_m2: float = parameter(1.2, "smallest area of a vehicle", minimum=0.1)
    max_length_m: float = parameter(20.0, "longest vehicle", minimum=1)
    max_width_m: float = parameter(4.5, "widest vehicle", minimum=0.5)
    min_fill: float = parameter(0.5, "share of its rectangle that a vehicle fills at least", minimum=0, maximum=1)
    vehicle_height_m: float = parameter(
        1.5, "height assumed to correct how vehicles lean outwards; 0: no correction", minimum=0
    )
    large_vehicle_height_m: float = parameter(3.0, "the same for those longer than 7 m", minimum=0)


@dataclass(frozen=True, eq=False)
class _Views:
    """How frames become stabilised pictures of the working size, and what their pixels are on the ground."""

    proxy: Proxy
    ground: Ground
    matrices: Floats
    times_s: Floats
    width_px: int
    height_px: int

    @property
    def factor(self) -> float:
        return self.width_px / self.proxy.reference.width_px

    @property
    def pixel_m(self) -> float:
        return self.ground.metres_per_pixel / self.factor

    @property
    def to_world(self) -> Floats:
        return self.ground.to_world @ np.linalg.inv(scaling(self.factor))

    def stabilised(self, times_s: Floats) -> Iterator[tuple[int, Picture, Picture]]:
        """Row of the homographies, picture, and where it is valid, for the frames at these times."""
        size = self.width_px, self.height_px
        everywhere = np.full((self.height_px, self.width_px), 255, np.uint8)
        scale = scaling(self.factor)
        for frame in self.proxy.frames_at(np.searchsorted(self.times_s, times_s).tolist()):
            row = frame.index
            matrix = scale @ self.matrices[row] @ np.linalg.inv(scale)
            picture = cv2.warpPerspective(frame.colours(*size), matrix, size, borderMode=cv2.BORDER_REPLICATE)
            yield row, picture, cv2.warpPerspective(everywhere, matrix, size, flags=cv2.INTER_NEAREST)

    def road(self) -> Picture:
        """255 inside the road polygon, or everywhere."""
        polygon = self.ground.road_polygon_px
        if not len(polygon):
            return np.full((self.height_px, self.width_px), 255, np.uint8)
        mask = np.zeros((self.height_px, self.width_px), np.uint8)
        cv2.fillPoly(mask, [np.round(transform(scaling(self.factor), polygon)).astype(np.int32)], (255,))
        return mask


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `detections.parquet` (one row a box) and `background.jpg`. Raises NoVehicles."""
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("x_m", "y_m", "z_m"))
    places = np.column_stack([camera["x_m"], camera["y_m"], camera["z_m"]])
    table, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    if len(places) != len(matrices):
        raise InputMissing(
            f"camera.csv has {len(places)} frames, homographies.csv {len(matrices)}", remedy="Redo estimate_camera"
        )
    with open_proxy(files) as proxy:
        fine_enough = round(proxy.reference.width_px * ground.metres_per_pixel / FINEST_PIXEL_M)
        width = min(parameters.working_width_px, proxy.width_px, max(fine_enough, NARROWEST_PX))
        height = round(width * proxy.height_px / proxy.width_px)
        views = _Views(proxy, ground, matrices, table["time_s"], width, height)
        background, valid = _background(views, parameters, report)
        shadows = _shadows(views, background, parameters, report)
        cv2.imwrite(str(files.output("background.jpg")), background)
        rows: list[tuple[float, ...]] = []
        stride = max(1, round(proxy.rate_fps / parameters.detection_rate_hz))
        searched = table["time_s"][::stride]
        for count, (row, picture, seen) in enumerate(views.stabilised(searched), 1):
            mask = foreground_mask(difference(picture, background, parameters.detection_threshold), shadows)
            found = blobs(
                mask, cv2.bitwise_and(seen, valid), SPECK_M / views.pixel_m, GAP_M / views.pixel_m,
                parameters.min_area_m2 / views.pixel_m**2,
            )  # fmt: skip
            for blob in found:
                box = _box(blob, views, places[row], parameters)
                if box is not None:
                    rows.append((int(table["frame"][row]), float(table["time_s"][row]), *box))
            report.progress("frames", count, len(searched))
    if not rows:
        raise NoVehicles(
            "nothing that moves and is as large as a vehicle was found",
            remedy="Look at background.jpg; try a lower DETECTION_THRESHOLD, and check the scale in ground.json",
        )
    same: dict[str, Sequence[Any]] = {
        "class": [""] * len(rows),
        "source": ["motion"] * len(rows),
        "position_std_m": [POSITION_STD_M] * len(rows),
    }
    write_table(files.output("detections.parquet"), from_rows(COLUMNS, rows) | same)
    report.result("detections", len(rows))
    report.result("detections_per_frame", len(rows) / len(searched))


def _background(views: _Views, parameters: Parameters, report: Report) -> tuple[Picture, Picture]:
    """The background, and where it is known and inside the road."""
    times = views.times_s
    count = min(parameters.background_samples, len(times))
    chosen = times[np.linspace(0, len(times) - 1, count).round().astype(int)]
    pictures, valid = [], views.road()
    for _, picture, seen in views.stabilised(chosen):
        pictures.append(picture)
        valid = cv2.bitwise_and(valid, seen)
        report.progress("background", len(pictures), count)
    share = float(np.mean(valid[views.road() > 0] > 0))
    if share < LEAST_IN_VIEW:
        report.warning(f"only {100 * share:.0f} % of the reference frame stay in view, and only they are searched")
    return median_picture(pictures), valid


def _shadows(views: _Views, background: Picture, parameters: Parameters, report: Report) -> Shadows | None:
    times = views.times_s[np.linspace(0, len(views.times_s) - 1, SHADOW_SAMPLES).round().astype(int)]
    found = (
        difference(picture, background, parameters.detection_threshold) for _, picture, _ in views.stabilised(times)
    )
    shadows = learn_shadows(found, SHADOW_EDGE_M / views.pixel_m)
    if shadows is None:
        report.say("no darkness stands out as that of shadows: all that is only darker than the road is left out")
    else:
        report.say(f"shadows leave about {100 * shadows.core / RATIO_SCALE:.0f} % of the light")
    return shadows


def _box(blob: Blob, views: _Views, camera_m: Floats, parameters: Parameters) -> tuple[float, ...] | None:
    """The rectangle on the ground, or None if no vehicle has this form."""
    a, b, c, d = transform(views.to_world, blob.corners_px)
    first, second = ((b - a) + (c - d)) / 2, ((d - a) + (c - b)) / 2
    long, short = (first, second) if np.hypot(*first) >= np.hypot(*second) else (second, first)
    length, width = float(np.hypot(*long)), float(np.hypot(*short))
    if length > parameters.max_length_m or width > parameters.max_width_m or blob.fill < parameters.min_fill:
        return None
    height = parameters.large_vehicle_height_m if length > LARGE_M else parameters.vehicle_height_m
    x, y = _upright((a + b + c + d) / 4, camera_m, height)
    heading = np.degrees(np.arctan2(long[1], long[0]))
    x_px, y_px = blob.corners_px.mean(axis=0) / views.factor
    return x, y, float(heading), length, width, blob.fill, int(blob.whole), float(x_px), float(y_px)


def _upright(place: Floats, camera_m: Floats, height_m: float) -> Floats:
    """Where a vehicle stands whose outline is centred at `place`: its roof is seen further from the camera's foot.

    The outline reaches from the near edge on the ground to the far edge of the roof, so its centre is moved by half.
    """
    roof = camera_m[2] / max(camera_m[2] - height_m, 1.0)
    moved: Floats = camera_m[:2] + (place - camera_m[:2]) / ((1 + roof) / 2)
    return moved
