"""Writes the footage, the ground truth, and the reference points that a person would mark."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.arrays import Floats, Picture
from tracker.contract import Report
from tracker.geometry import corners
from tracker.reference import Frame, ReferencePoint, ReferencePoints
from tracker.simulation.camera import FIELD_OF_VIEW_DEG, Lens, View, view_at
from tracker.simulation.film import FilmWriter
from tracker.simulation.ground import PIXELS_FROM_WORLD, Ground, landmarks, paint
from tracker.simulation.light import Grain, sun_of
from tracker.simulation.streets import BAY_WIDTH_M, Scene, scene_named
from tracker.simulation.traffic import Traffic, Vehicle
from tracker.simulation.trees import draw_trees
from tracker.simulation.truth import TRUTH_COLUMNS, true_row
from tracker.simulation.vehicles import cast_shadows, draw_vehicles
from tracker.tables import from_rows, write_table

CAMERA_COLUMNS = ("frame", "time_s", "x_m", "y_m", "z_m", *(f"h{row}{column}" for row in "123" for column in "123"))
TREES = ("still", "swaying")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmPlan:
    """What to film. `lens_k1`, `lens_k2`: Brown model; `exact_points`: do not round points to half a pixel."""

    scene: str = "crossroads"
    seconds: float = 16.0
    rate_fps: int = 15
    width_px: int = 1920
    height_px: int = 1080
    seed: int = 101
    bitrate_mbit_s: float | None = None
    lens_k1: float = 0.0
    lens_k2: float = 0.0
    lighting: str = "steady"
    trees: str = "still"
    exact_points: bool = False
    road_polygon: bool = False


class Stage:
    """The scene in front of the camera, at any moment."""

    def __init__(self, plan: FilmPlan) -> None:
        self.plan = plan
        self.scene: Scene = scene_named(plan.scene)
        self.sun = sun_of(plan.seed, plan.lighting)
        self.ground: Ground = paint(self.scene, plan.seed, self.sun, swaying=plan.trees == "swaying")
        self.lens = Lens(plan.lens_k1, plan.lens_k2, plan.width_px, plan.height_px)

    def view(self, time_s: float) -> View:
        """The camera without its lens."""
        return view_at(time_s, self.plan.width_px, self.plan.height_px, self.plan.seed)

    def picture(self, time_s: float, vehicles: tuple[Vehicle, ...]) -> Picture:
        """The camera's image, BGR; without noise, and with the brightness of a clear sky."""
        margin = self.lens.margin_px
        view = self.view(time_s).widened(margin)
        _, strength = self.sun.at(time_s)
        size = (self.plan.width_px + 2 * margin, self.plan.height_px + 2 * margin)
        matrix = view.ground_to_pixels @ np.linalg.inv(PIXELS_FROM_WORLD)
        picture = cv2.warpPerspective(self.ground.lit(strength), matrix, size)
        trees = self.ground.trees
        if trees:
            outlines = [tree.shadow(self.sun.shadow, time_s, gusts=1.0) for tree in trees]
            flat = [view.pixels(np.column_stack([outline, np.zeros(len(outline))])) for outline in outlines]
            cast_shadows(picture, flat, [3.0 * size[0] / 3840] * len(flat), strength)
        draw_vehicles(picture, vehicles, view, self.sun.shadow, strength)
        draw_trees(picture, trees, view, time_s)
        return self.lens.film(picture)

    def is_visible(self, vehicle: Vehicle, view: View) -> bool:
        """Whether its whole outline on the ground is in the film."""
        outline = corners(*vehicle.pose, vehicle.length_m, vehicle.width_m)
        pixels = self.lens.distorted(view.pixels(np.column_stack([outline, np.zeros(4)])))
        return bool((pixels > 0).all() and (pixels < [self.plan.width_px - 1, self.plan.height_px - 1]).all())


def simulate(directory: Path, plan: FilmPlan) -> None:
    """Write `video.mp4`, `truth.csv`, `camera_truth.csv`, `lens_truth.json` and `reference_points.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    report, stage = Report(), Stage(plan)
    truth: list[tuple[float | str, ...]] = []
    camera: list[tuple[float, ...]] = []
    frames = round(plan.seconds * plan.rate_fps)
    traffic = Traffic(plan.seed, 1 / plan.rate_fps, stage.scene)
    grain = Grain(plan.seed, plan.width_px, plan.height_px)
    # Under a temporary name until complete, so that an incomplete film is never used.
    unfinished = directory / "unfinished.mp4"
    with FilmWriter(
        unfinished, plan.width_px, plan.height_px, plan.rate_fps, grain=grain, bitrate_mbit_s=plan.bitrate_mbit_s
    ) as writer:
        for index, (time_s, vehicles) in enumerate(traffic.frames(plan.seconds)):
            view = stage.view(time_s)
            writer.write(stage.picture(time_s, vehicles), time_s, stage.sun.at(time_s)[0])
            truth += [true_row(index, time_s, vehicle, visible=stage.is_visible(vehicle, view)) for vehicle in vehicles]
            camera.append((index, time_s, *view.position_m, *view.ground_to_pixels.ravel()))
            report.progress("frames", index + 1, frames)
    write_table(directory / "truth.csv", from_rows(TRUTH_COLUMNS, truth), decimals=4)
    write_table(directory / "camera_truth.csv", from_rows(CAMERA_COLUMNS, camera), decimals=10)
    _write_lens(directory / "lens_truth.json", plan, stage.view(0.0))
    clicked_points(stage).write(directory / "reference_points.json")
    unfinished.replace(directory / "video.mp4")
    report.result("frames", frames)
    report.result("vehicles", len({row[2] for row in truth if row[TRUTH_COLUMNS.index("visible")]}))


def clicked_points(stage: Stage) -> ReferencePoints:
    """The landmarks well inside the first frame, in the undistorted image."""
    plan, view = stage.plan, stage.view(0.0)
    marks = landmarks(stage.scene)
    pixels = view.pixels(np.array([[mark.x_m, mark.y_m, 0.0] for mark in marks]))
    clicked = pixels if plan.exact_points else np.round(2 * pixels) / 2
    inside = np.abs(pixels / [plan.width_px, plan.height_px] - 0.5) < [0.47, 0.45]
    points = tuple(
        ReferencePoint(mark.name, float(x), float(y), mark.x_m, mark.y_m)
        for mark, (x, y), seen in zip(marks, clicked, inside, strict=True)
        if seen.all()
    )
    polygon = _road_polygon(stage.scene, view, plan) if plan.road_polygon else ()
    return ReferencePoints(Frame(0.0, plan.width_px, plan.height_px), points, road_polygon_px=polygon)


def _road_polygon(scene: Scene, view: View, plan: FilmPlan) -> tuple[tuple[float, float], ...]:
    """Around all lanes and bays, within the frame."""
    half = max(abs(y) + BAY_WIDTH_M / 2 for _, y, _ in scene.bays) + 0.3
    wide, narrow, far = 84.0, 4.2, 50.0
    outline = [(-wide, -half), (wide, -half), (wide, half), (-wide, half)]
    if scene.name == "crossroads":
        south = [(-wide, -half), (-narrow, -half), (-narrow, -far), (narrow, -far), (narrow, -half), (wide, -half)]
        outline = south + [(-x, -y) for x, y in south]
    pixels = view.pixels(np.array([[x, y, 0.0] for x, y in outline]))
    seen: Floats = np.clip(np.round(pixels), 0, [plan.width_px - 1, plan.height_px - 1])
    return tuple((float(x), float(y)) for x, y in seen)


def _write_lens(path: Path, plan: FilmPlan, view: View) -> None:
    lens = {"horizontal_fov_deg": FIELD_OF_VIEW_DEG, "k1": plan.lens_k1, "k2": plan.lens_k2}
    path.write_text(json.dumps(lens | {"intrinsics": view.intrinsics.tolist()}, indent=1) + "\n", encoding="utf-8")
