"""The reference points file: points of one frame, with what is known about the world.

    {"frame": {"time_s": 0.0, "width_px": 1920, "height_px": 1080},
     "points": [{"name": "kerb", "x_px": 412.0, "y_px": 300.5, "x_m": 0.0, "y_m": 0.0}, ...],
     "known_length": {"from_px": [100, 200], "to_px": [300, 200], "length_m": 12.0},
     "road_polygon_px": [[0, 300], [1919, 300], [1919, 700], [0, 700]]}

Either four or more points with world coordinates, or one known length. The road polygon may be left out: the whole
frame is then searched for vehicles. Pixels count from the centre of the upper left pixel, x right, y down; world
coordinates are metres on flat ground, right-handed (x east and y north, say). In place of x_m and y_m all points may
have `latitude_deg` and `longitude_deg` (WGS84).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracker.arrays import Floats
from tracker.errors import PointsInvalid
from tracker.geodesy import MAX_UTM_LATITUDE_DEG, MIN_UTM_LATITUDE_DEG, Plane

FEWEST_WORLD_POINTS = 4
FEWEST_CORNERS = 3
# Ratio of the second singular value to the first, below which the points count as collinear.
FLATTEST_SPREAD = 0.03


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame on which the points were marked."""

    time_s: float
    width_px: int
    height_px: int

    def holds(self, x_px: float, y_px: float) -> bool:
        """Whether a pixel is inside."""
        return 0 <= x_px <= self.width_px - 1 and 0 <= y_px <= self.height_px - 1


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """A stationary point on the ground."""

    name: str
    x_px: float
    y_px: float
    x_m: float | None = None
    y_m: float | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None

    @property
    def has_world(self) -> bool:
        """Whether its position in metres is known."""
        return self.x_m is not None and self.y_m is not None


@dataclass(frozen=True, slots=True)
class KnownLength:
    """Two pixels in the frame and the distance between them."""

    from_px: tuple[float, float]
    to_px: tuple[float, float]
    length_m: float

    @property
    def metres_per_pixel(self) -> float:
        """The resulting scale."""
        return self.length_m / math.dist(self.from_px, self.to_px)


@dataclass(frozen=True, slots=True)
class ReferencePoints:
    """A person's data about the reference frame."""

    frame: Frame
    points: tuple[ReferencePoint, ...] = ()
    known_length: KnownLength | None = None
    road_polygon_px: tuple[tuple[float, float], ...] = ()

    @property
    def world_points(self) -> tuple[ReferencePoint, ...]:
        """The points with world coordinates."""
        return tuple(point for point in self.points if point.has_world)

    def in_metres(self) -> tuple[ReferencePoints, Plane | None]:
        """These points with WGS84 coordinates converted to metres on a local tangent plane; and that plane."""
        degrees = [(p.latitude_deg, p.longitude_deg) for p in self.points]
        known = np.array([pair for pair in degrees if None not in pair], np.float64)
        if not len(known):
            return self, None
        plane = Plane(*known.mean(axis=0).tolist())
        placed = []
        for point in self.points:
            if point.latitude_deg is None or point.longitude_deg is None:
                placed.append(point)
                continue
            x_m, y_m = plane.metres(np.array([[point.latitude_deg, point.longitude_deg]]))[0].tolist()
            placed.append(replace(point, x_m=x_m, y_m=y_m, latitude_deg=None, longitude_deg=None))
        return replace(self, points=tuple(placed)), plane

    def pixels(self) -> Floats:
        """N x 2."""
        return np.array([[point.x_px, point.y_px] for point in self.points], np.float64).reshape(-1, 2)

    def write(self, path: Path) -> None:
        """Write the file; omits unknown values."""
        path.write_text(json.dumps(_known(asdict(self)), indent=2) + "\n", encoding="utf-8")


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items() if item is not None and item != ()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return value


def read_points(path: Path, frame: Frame) -> ReferencePoints:
    """Read and check a person's file for footage of this size; `frame` fills in what it omits.

    Raises PointsInvalid with the point, the problem and the remedy.
    """
    points = parse_points(path, frame)
    check_points(points, frame, path.name)
    return points


def check_points(points: ReferencePoints, frame: Frame, name: str) -> None:
    """Check that they can be used with footage of this size; `name` is their origin. Raises PointsInvalid."""
    size = (points.frame.width_px, points.frame.height_px)
    if size != (frame.width_px, frame.height_px):
        raise PointsInvalid(
            f"{name} is for {size[0]}x{size[1]} pixels, but the video has {frame.width_px}x{frame.height_px}",
            remedy="Mark the points on frame.jpg of this video",
        )
    _check_inside(points)
    _check_distinct(points)
    _check_scale(points, name)


def parse_points(path: Path, frame: Frame) -> ReferencePoints:
    """Read the file without the checks, for example an already checked one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PointsInvalid(f"{path.name} is not valid JSON: {error}") from error
    return points_from(data, frame, path.name)


def points_from(data: Any, frame: Frame, name: str) -> ReferencePoints:
    """Parse the content of the file. Raises PointsInvalid if its structure is wrong."""
    if not isinstance(data, dict):
        raise PointsInvalid(f"{name} is not a JSON object", remedy='Expected {"points": [...]}')
    unknown = sorted(set(data) - {"frame", "points", "known_length", "road_polygon_px"})
    if unknown:
        known = "frame, points, known_length and road_polygon_px"
        raise PointsInvalid(f"{name} has the unknown field {', '.join(unknown)}", remedy=f"Known fields: {known}")
    try:
        shown = Frame(
            **(
                {"time_s": frame.time_s, "width_px": frame.width_px, "height_px": frame.height_px}
                | data.get("frame", {})
            )
        )
        length = data.get("known_length")
        polygon = tuple((_number(x), _number(y)) for x, y in data.get("road_polygon_px", ()))
        points = tuple(_point(index, entry) for index, entry in enumerate(data.get("points", ())))
        known_length = None if length is None else _length(length)
    except (KeyError, TypeError, ValueError) as error:
        raise PointsInvalid(
            f"{name} is malformed: {error!r}", remedy="See proposed_points.json for the format"
        ) from error
    if polygon and len(polygon) < FEWEST_CORNERS:
        raise PointsInvalid(f"road_polygon_px of {name} has only {len(polygon)} corners", remedy="Give at least 3")
    return ReferencePoints(shown, points, known_length, polygon)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _point(index: int, entry: dict[str, Any]) -> ReferencePoint:
    world: dict[str, float] = {}
    for pair in (("x_m", "y_m"), ("latitude_deg", "longitude_deg")):
        coordinates = {key: _number(entry[key]) for key in pair if entry.get(key) is not None}
        if len(coordinates) == 1:
            raise ValueError(f"points[{index}] has {next(iter(coordinates))} but not both {' and '.join(pair)}")
        world |= coordinates
    latitude = world.get("latitude_deg", 0.0)
    if not MIN_UTM_LATITUDE_DEG <= latitude <= MAX_UTM_LATITUDE_DEG or abs(world.get("longitude_deg", 0.0)) > 180:  # noqa: PLR2004  half a turn
        raise ValueError(f"points[{index}] has a latitude or longitude out of range")
    return ReferencePoint(str(entry.get("name", index + 1)), _number(entry["x_px"]), _number(entry["y_px"]), **world)


def _length(entry: dict[str, Any]) -> KnownLength:
    (x0, y0), (x1, y1) = entry["from_px"], entry["to_px"]
    length = KnownLength((_number(x0), _number(y0)), (_number(x1), _number(y1)), _number(entry["length_m"]))
    if length.length_m <= 0 or length.from_px == length.to_px:
        raise ValueError("known_length must be greater than zero in pixels and in metres")
    return length


def _check_inside(points: ReferencePoints) -> None:
    places = [(f"point {point.name!r}", point.x_px, point.y_px) for point in points.points]
    if points.known_length is not None:
        places += [
            ("an end of known_length", *points.known_length.from_px),
            ("an end of known_length", *points.known_length.to_px),
        ]
    outside = [(what, x, y) for what, x, y in places if not points.frame.holds(x, y)]
    if outside:
        listed = "; ".join(f"{what} at ({x:g}, {y:g})" for what, x, y in outside)
        size = f"{points.frame.width_px}x{points.frame.height_px}"
        raise PointsInvalid(f"outside the frame of {size} pixels: {listed}", remedy="Mark them on frame.jpg again")


def _check_distinct(points: ReferencePoints) -> None:
    names: set[str] = set()
    at: dict[tuple[float, float], str] = {}
    for point in points.points:
        if point.name in names:
            raise PointsInvalid(f"two points are named {point.name!r}", remedy="Give each point its own name")
        names.add(point.name)
        other = at.setdefault((point.x_px, point.y_px), point.name)
        if other != point.name:
            raise PointsInvalid(
                f"the points {other!r} and {point.name!r} are at the same pixel", remedy="Remove one of them"
            )


def _check_scale(points: ReferencePoints, name: str) -> None:
    if points.world_points and any(point.latitude_deg is not None for point in points.points):
        raise PointsInvalid(
            f"{name} has points in metres and points in degrees", remedy="Use the same coordinates for all points"
        )
    points = points.in_metres()[0]
    world = points.world_points
    if not points.points and points.known_length is None:
        raise PointsInvalid(
            f"{name} has no points", remedy="Give at least 4 points with x_m and y_m, or one known_length"
        )
    if points.known_length is not None and len(world) < FEWEST_WORLD_POINTS:
        return
    if len(world) < FEWEST_WORLD_POINTS:
        raise PointsInvalid(
            f"{name} gives no scale: only {len(world)} of its {len(points.points)} points have x_m and y_m",
            remedy="Add x_m and y_m to at least 4 points, or add one known_length",
        )
    pixels = np.array([[point.x_px, point.y_px] for point in world], np.float64)
    metres = np.array([[point.x_m, point.y_m] for point in world], np.float64)
    for what, places in (("pixels", pixels), ("metres", metres)):
        spread = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
        if spread[1] < FLATTEST_SPREAD * spread[0] or spread[0] == 0:
            raise PointsInvalid(f"the points of {name} are collinear (in {what})", remedy="Spread them over the frame")
