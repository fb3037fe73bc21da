"""Writes the result video: boxes, numbers, speeds, trails and lanes on the footage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.contract import Report, StageFiles
from tracker.drawing import Drawing, colour_of
from tracker.geometry import corners, scaling, transform
from tracker.ground import Ground
from tracker.homographies import read_homographies
from tracker.lean import camera_for
from tracker.parallax import BODIES, as_seen
from tracker.parameters import parameter
from tracker.proxy import open_proxy
from tracker.tables import Table, groups, read_table
from tracker.video import VideoWriter


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of the stage."""

    video_width_px: int = parameter(1920, "width of the result video; the footage is never enlarged", minimum=160)
    video_quality_crf: int = parameter(
        23, "H.264 quality (CRF): 18 is close to the footage, 28 is small", minimum=0, maximum=51
    )
    trail_seconds: float = parameter(3.0, "length of the trail behind a vehicle", minimum=0)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What to draw. `by_frame` has the tracks of each frame, `by_track` those of each vehicle."""

    by_frame: dict[int, Table]
    by_track: dict[int, Table]
    lanes_m: list[Floats]
    trail_seconds: float
    camera_m: Floats

    def draw(self, picture: Picture, frame: int, time_s: float, to_pixels: Floats, metres_per_pixel: float) -> Picture:
        """Draw one frame; `to_pixels` maps metres to its pixels."""
        drawing = Drawing(picture)
        for lane in self.lanes_m:
            drawing.lane(transform(to_pixels, lane))
        vehicles = self.by_frame.get(frame, {})
        count = len(vehicles.get("track_id", ()))
        for index in range(count):
            number = int(vehicles["track_id"][index])
            x, y, heading = (float(vehicles[name][index]) for name in ("x_m", "y_m", "heading_deg"))
            stands = [x, y, np.radians(heading), float(vehicles["length_m"][index]), float(vehicles["width_m"][index])]
            # Around the visible outline, not the footprint: a vehicle leans outwards because of its height.
            body = BODIES.get(str(vehicles["class"][index]), BODIES["car"])
            seen = as_seen(np.array([stands]), self.camera_m[min(frame, len(self.camera_m) - 1)], body)[0]
            box_px = transform(to_pixels, corners(*seen.tolist()))
            colour = colour_of(number)
            drawing.trail(transform(to_pixels, self._trail(number, time_s)), colour)
            drawing.box(box_px, colour)
            speed = float(vehicles["speed_m_s"][index]) * 3.6
            drawing.label(box_px, f"#{number}   {speed:.0f} km/h", colour)
        clock = f"{int(time_s // 60):02d}:{time_s % 60:04.1f}   {count} vehicle{'s' if count != 1 else ''}"
        return drawing.finish(clock, metres_per_pixel)

    def _trail(self, number: int, time_s: float) -> Floats:
        track = self.by_track[number]
        first, last = np.searchsorted(track["time_s"], [time_s - self.trail_seconds, time_s + 1e-6])
        return np.column_stack([track["x_m"][first:last], track["y_m"][first:last]])


def run(files: StageFiles, parameters: Parameters, report: Report) -> None:
    """Write `result.mp4` (H.264, a key frame every second) and `thumbnail.jpg`."""
    ground = Ground.read(files.upstream("estimate_camera", "ground.json"))
    table, matrices = read_homographies(files.upstream("track_reference_points", "homographies.csv"))
    tracks = read_table(
        files.upstream("detect_lanes", "tracks.parquet"), ("track_id", "frame", "x_m", "y_m", "lane_id", "class")
    )
    camera = read_table(files.upstream("estimate_camera", "camera.csv"), ("x_m", "y_m", "z_m"))
    camera_m = camera_for(tracks, np.column_stack([camera["x_m"], camera["y_m"], camera["z_m"]]))
    lanes = json.loads(files.upstream("detect_lanes", "lanes.geojson").read_text(encoding="utf-8"))
    lanes_m = [np.array(feature["geometry"]["coordinates"]) for feature in lanes["features"]]
    scene = _Scene(groups(tracks, "frame"), groups(tracks, "track_id"), lanes_m, parameters.trail_seconds, camera_m)
    best = max(scene.by_frame, key=lambda frame: len(scene.by_frame[frame]["track_id"]))
    with open_proxy(files) as proxy:
        width = min(parameters.video_width_px, proxy.width_px) // 2 * 2
        height = round(width * proxy.height_px / proxy.width_px / 2) * 2
        factor = width / proxy.reference.width_px
        path, quality = files.output("result.mp4"), parameters.video_quality_crf
        with VideoWriter(path, width, height, proxy.rate_fps, quality_crf=quality) as writer:
            for frame, matrix in zip(proxy.frames(), matrices, strict=True):
                to_pixels = scaling(factor) @ np.linalg.inv(ground.to_world @ matrix)
                drawn = scene.draw(
                    frame.colours(width, height), frame.index, frame.time_s, to_pixels, ground.metres_per_pixel / factor
                )
                writer.write(drawn, frame.time_s)
                if frame.index == best:
                    _thumbnail(drawn, files.output("thumbnail.jpg"))
                report.progress("frames", frame.index + 1, len(table["frame"]))
    report.result("video_size_mb", files.output("result.mp4").stat().st_size / 1e6)


def _thumbnail(picture: Picture, path: Path) -> None:
    """The frame with the most vehicles, reduced."""
    height = round(640 * picture.shape[0] / picture.shape[1])
    cv2.imwrite(
        str(path), cv2.resize(picture, (640, height), interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )
