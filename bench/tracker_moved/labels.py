"""A labelled real picture: which vehicles stand, and which drive on which road."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tracker.arrays import Flags, Floats, Picture

from bench.tracker_moved.roads import ROADS, Course
from bench.tracker_moved.sprites import Label

# Frames of Songdo Vision have YOLO text beside them: class, centre and size as shares of the picture.
SONGDO, SONGDO_PIXEL_M = "songdo_", 0.048
SONGDO_KINDS = ("car", "truck_bus", "truck_bus", "two_wheeler")
SIDES = ("x0", "y0", "x1", "y1")


def file_of(directory: Path, name: str) -> Path:
    """Where a picture is, if it is in this directory."""
    return directory / name.removeprefix(SONGDO) if name.startswith(SONGDO) else directory / "images" / name


@dataclass(frozen=True, slots=True)
class Driver:
    """A vehicle on a road: where along it at first, how far to its right, and how it is turned against it."""

    label: Label
    road: int
    along: float
    aside: float
    askew: float


@dataclass(frozen=True, eq=False)
class RealPicture:
    """`ignored` is n x 4 (left, top, right, bottom): there, vehicles may be without a label."""

    picture: Picture
    pixel_m: float
    complete_for: frozenset[str]
    courses: tuple[Course, ...]
    standing: tuple[Label, ...]
    driving: tuple[Driver, ...]
    ignored: Floats

    @classmethod
    def read(cls, directory: Path, name: str) -> RealPicture:
        """Raises ValueError if the picture cannot be read."""
        picture = cv2.imread(str(file_of(directory, name)))
        if picture is None:
            raise ValueError(f"not a picture: {name}")
        if name.startswith(SONGDO):
            pixel_m, complete_for, ignored = SONGDO_PIXEL_M, frozenset(SONGDO_KINDS), list[list[float]]()
            height, width = picture.shape[:2]
            labels = _yolo_rows(file_of(directory, name).with_suffix(".txt"), width, height)
        else:
            (facts,) = _rows(directory / "images.csv", name)
            pixel_m, complete_for = float(facts["metres_per_pixel"]), frozenset(facts["labels_complete_for"].split(";"))
            ignored = [[float(row[side]) for side in SIDES] for row in _rows(directory / "ignore.csv", name)]
            labels = _rows(directory / "labels.csv", name)
        courses = tuple(road.on(pixel_m) for road in ROADS[name])
        standing: list[Label] = []
        driving: list[Driver] = []
        for row in labels:
            place = np.array([float(row["cx"]), float(row["cy"])])
            found = [(number, *course.nearest(place)) for number, course in enumerate(courses)]
            number, along, aside = min(found, key=lambda item: abs(item[2]) - courses[item[0]].road.half_width)
            if abs(aside) > courses[number].road.half_width:
                standing.append(_label(row, None))
                continue
            label = _label(row, courses[number].at(along, 0.0)[1])
            askew = label.direction - courses[number].at(along, 0.0)[1]
            driving.append(Driver(label, number, along, aside, askew))
        outside = np.array(ignored).reshape(-1, 4)
        return cls(picture, pixel_m, complete_for, courses, tuple(standing), tuple(driving), outside)

    def hides(self, places: Floats) -> Flags:
        """Which places (n x 2) are ignored."""
        x, y = places[:, 0, None], places[:, 1, None]
        left, top, right, bottom = self.ignored.T
        hidden: Flags = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any(1)
        return hidden


def _label(row: dict[str, str], direction: float | None) -> Label:
    """A vehicle; on a road, it points there. Without an oriented box, its size follows from the upright one."""
    x, y = float(row["cx"]), float(row["cy"])
    if row["length"]:
        own = np.radians(float(row["angle_deg"]))
        if direction is not None and np.cos(own - direction) < 0:
            own += np.pi
        turned = (
            own
            if direction is None
            else direction + float(np.arctan2(np.sin(own - direction), np.cos(own - direction)))
        )
        return Label(row["class"], x, y, float(turned), float(row["length"]), float(row["width"]))
    wide, high = float(row["x1"]) - float(row["x0"]), float(row["y1"]) - float(row["y0"])
    if direction is None:
        return Label(row["class"], x, y, 0.0 if wide > high else np.pi / 2, max(wide, high), min(wide, high))
    cosine, sine = abs(np.cos(direction)), abs(np.sin(direction))
    if min(cosine, sine) > STEEP:
        raise ValueError(f"the size of a vehicle at {x}, {y} does not follow from its upright box")
    length, width = np.linalg.solve([[cosine, sine], [sine, cosine]], [wide, high])
    return Label(row["class"], x, y, direction, float(length), float(width))


# The sine from which the sides of an upright box say little about an oriented one.
STEEP = 0.55


def _yolo_rows(path: Path, width_px: int, height_px: int) -> list[dict[str, str]]:
    """Like those of `labels.csv`."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, *shares = line.split()
        x, y, wide, high = np.array(shares, np.float64) * [width_px, height_px, width_px, height_px]
        numbers = (x - 0.5, y - 0.5, x - 0.5 - wide / 2, y - 0.5 - high / 2, x - 0.5 + wide / 2, y - 0.5 + high / 2)
        named = dict(zip(("cx", "cy", *SIDES), map(str, numbers), strict=True))
        rows.append({"class": SONGDO_KINDS[int(kind)], "length": ""} | named)
    return rows


def _rows(path: Path, name: str) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["image"] == name]
