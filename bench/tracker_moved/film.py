"""Films of real pictures whose vehicles drive, seen by a camera that sways, with exact truth.

The ground is flat, and vehicles lean as they did where they were cut out: the truth is the centre of their outlines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from tracker.arrays import Floats, Picture
from tracker.geometry import transform
from tracker.reference import Frame, ReferencePoint, ReferencePoints
from tracker.simulation.camera import FIELD_OF_VIEW_DEG, View, intrinsics_of, looking_down
from tracker.simulation.film import FilmWriter
from tracker.simulation.light import Grain
from tracker.tables import from_rows, write_table

from bench.tracker_moved.labels import RealPicture
from bench.tracker_moved.sprites import Label, Sprite, covered, cut_out, without

SECONDS, RATE_FPS, BITS_PER_PIXEL = 16, 25, 0.2
# Points that a person would mark: one in each field of a grid, well inside the first frame and off the roads.
POINT_COLUMNS, POINT_ROWS, POINT_MARGIN = 5, 2, 0.06
TRUTH = (
    "frame", "time_s", "vehicle_id", "class", "x_m", "y_m", "heading_deg", "speed_m_s", "length_m", "width_m",
    "visible",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sway:
    """A camera above the middle of a picture that sways like a drone in a breeze; it sees `view_m` across."""

    width_px: int
    height_px: int
    view_m: float

    def at(self, time_s: float) -> View:
        """Its pose, in metres from the middle of the picture, y up."""

        def swing(period_s: float, phase: float) -> float:
            return math.sin(2 * math.pi * time_s / period_s + phase)

        height_m = self.view_m / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
        pitch, roll = math.radians(2 + 0.3 * swing(7, 1.0)), math.radians(0.3 * swing(9, 2.0))
        # It looks forward, and stands behind the middle.
        back_m = height_m * math.tan(math.radians(2))
        position = [0.6 * swing(13, 0.0), 0.6 * swing(11, 1.3) - back_m, height_m * (1 + 0.006 * swing(19, 0.7))]
        rotation = looking_down(math.radians(0.8 * swing(17, 0.3)), pitch, roll)
        return View(intrinsics_of(self.width_px, self.height_px), rotation, np.array(position))


def to_metres(picture: RealPicture) -> Floats:
    """The homography from pixels of the picture to metres from its middle, y up."""
    height, width = picture.picture.shape[:2]
    scale = picture.pixel_m
    return np.array([[scale, 0, -scale * (width - 1) / 2], [0, -scale, scale * (height - 1) / 2], [0, 0, 1.0]])


def camera_over(picture: RealPicture) -> Sway:
    """The camera that sees as much of the picture as it can without its edge."""
    height, width = picture.picture.shape[:2]
    size = width // 2 * 2, height // 2 * 2
    frame = np.array([[0.0, 0], [size[0] - 1, 0], [0, size[1] - 1], [size[0] - 1, size[1] - 1]])
    pixels = np.linalg.inv(to_metres(picture))
    for share in np.arange(1.0, 0.5, -0.01):
        sway = Sway(*size, float(share) * width * picture.pixel_m)
        views = [sway.at(time_s) for time_s in np.arange(0, SECONDS, 0.2)]
        seen = np.concatenate([transform(pixels @ np.linalg.inv(view.ground_to_pixels), frame) for view in views])
        if (seen >= 0).all() and (seen <= [width - 1, height - 1]).all():
            return sway
    raise ValueError("the picture is too narrow for the camera")


@dataclass(frozen=True, slots=True)
class State:
    """A vehicle at a moment, in pixels of the picture."""

    number: int
    label: Label
    speed_m_s: float


class Traffic:
    """Where all vehicles of a picture are. What leaves a road comes back at its beginning as another vehicle."""

    def __init__(self, picture: RealPicture) -> None:
        self.picture = picture
        self.driven_px = [0.0] * len(picture.courses)

    def step(self, time_s: float, seconds: float) -> None:
        """Let all drive on."""
        for number, course in enumerate(self.picture.courses):
            self.driven_px[number] += course.road.speed(time_s) * seconds / self.picture.pixel_m

    def now(self, time_s: float) -> list[State]:
        """The vehicles that drive, in the order of the picture's, and those that stand."""
        states = []
        for index, driver in enumerate(self.picture.driving):
            course = self.picture.courses[driver.road]
            rounds, along = divmod(driver.along + self.driven_px[driver.road], len(course.places) - 2)
            (x, y), direction = course.at(along, driver.aside)
            number = 1 + index + round(rounds) * len(self.picture.driving)
            label = replace(driver.label, x=float(x), y=float(y), direction=direction + driver.askew)
            states.append(State(number, label, course.road.speed(time_s)))
        return states + [State(-1 - index, label, 0.0) for index, label in enumerate(self.picture.standing)]


def render(picture: RealPicture, directory: Path, seconds: int = SECONDS) -> None:
    """Write `video.mp4`, `truth.csv` and `reference_points.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    camera, traffic, to_world = camera_over(picture), Traffic(picture), to_metres(picture)
    sprites, road = _parts(picture)
    size = camera.width_px, camera.height_px
    rate_mbit_s = BITS_PER_PIXEL * size[0] * size[1] * RATE_FPS / 1e6
    truth: list[tuple[float | str, ...]] = []
    with FilmWriter(
        directory / "video.mp4", *size, RATE_FPS, grain=Grain(1, *size), bitrate_mbit_s=rate_mbit_s
    ) as film:
        for frame in range(seconds * RATE_FPS):
            time_s = frame / RATE_FPS
            to_film = camera.at(time_s).ground_to_pixels @ to_world
            scene, now = road.copy(), traffic.now(time_s)
            for sprite, state in zip(sprites, now, strict=False):
                sprite.onto(scene, np.array([state.label.x, state.label.y]), state.label.direction)
            film.write(cv2.warpPerspective(scene, to_film, size), time_s, 1.0)
            truth += [(frame, time_s, *_true(state, picture, to_film, size)) for state in now]
            traffic.step(time_s, 1 / RATE_FPS)
    write_table(directory / "truth.csv", from_rows(TRUTH, truth), decimals=4)
    _points(road, camera, to_world).write(directory / "reference_points.json")


def _parts(picture: RealPicture) -> tuple[list[Sprite], Picture]:
    """What drives, and the picture without it."""
    drivers = [driver.label for driver in picture.driving]
    sprites = []
    for label in drivers:
        others = [*picture.standing, *(other for other in drivers if other is not label)]
        foreign = covered(picture.picture.shape[:2], others, 0)
        sprites.append(cut_out(picture.picture, label, foreign, picture.pixel_m))
    return sprites, without(picture.picture, drivers, picture.standing, picture.pixel_m)


def _true(state: State, picture: RealPicture, to_film: Floats, size: tuple[int, int]) -> tuple[float | str, ...]:
    """Visible: the whole outline is in the film, and the centre not where vehicles may be without a label."""
    label, pixel_m = state.label, picture.pixel_m
    centre = np.array([[label.x, label.y]])
    outline = transform(to_film, label.outline())
    visible = (outline > 0).all() and (outline < np.array(size) - 1).all() and not picture.hides(centre)[0]
    x, y = transform(to_metres(picture), centre)[0]
    heading = -math.degrees(label.direction)
    sizes = label.length * pixel_m, label.width * pixel_m
    return state.number, label.kind, x, y, heading, state.speed_m_s, *sizes, int(visible)


def _points(road: Picture, camera: Sway, to_world: Floats) -> ReferencePoints:
    """The clearest corner of each field of a grid on the first frame, rounded to half a pixel."""
    width, height = camera.width_px, camera.height_px
    to_film = camera.at(0.0).ground_to_pixels
    grey = cv2.cvtColor(cv2.warpPerspective(road, to_film @ to_world, (width, height)), cv2.COLOR_BGR2GRAY)
    left, top = POINT_MARGIN * width, POINT_MARGIN * height
    columns = np.linspace(left, width - left, POINT_COLUMNS + 1).round().astype(int).tolist()
    rows = np.linspace(top, height - top, POINT_ROWS + 1).round().astype(int).tolist()
    corners = [
        cv2.goodFeaturesToTrack(grey[y0:y1, x0:x1], 1, 0.01, 5)[0, 0] + [x0, y0]
        for x0, x1 in pairwise(columns)
        for y0, y1 in pairwise(rows)
    ]
    clicked = np.round(2 * np.array(corners, np.float64)) / 2
    places = transform(np.linalg.inv(to_film), clicked)
    points = [
        ReferencePoint(f"p{number}", float(x), float(y), float(x_m), float(y_m))
        for number, ((x, y), (x_m, y_m)) in enumerate(zip(clicked, places, strict=True), 1)
    ]
    return ReferencePoints(Frame(0.0, width, height), tuple(points))


@dataclass(frozen=True, slots=True)
class MovedFilm:
    """The files of a film."""

    directory: Path

    @property
    def video(self) -> Path:
        """The footage."""
        return self.directory / "video.mp4"

    @property
    def points(self) -> Path:
        """Reference points as a person would click them, to half a pixel."""
        return self.directory / "reference_points.json"

    @property
    def settings(self) -> dict[str, str]:
        """None."""
        return {}

    @property
    def truth(self) -> Path:
        """One row per vehicle and frame."""
        return self.directory / "truth.csv"
