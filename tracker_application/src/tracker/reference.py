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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracker.arrays import Floats
from tracker.errors import PointsInvalid
from tracker.geodesy import MAX_UTM_LATITUDE_DEG, MIN_UTM_LATITUDE_DEG, Plane
from tracker.point_files import content_of

FEWEST_WORLD_POINTS = 4
FEWEST_CORNERS = 3
# Local coordinates are smaller, UTM's are larger.
FAR_M = 20_000.0
FIELDS = ("frame", "points", "known_length", "road_polygon_px")
FRAME_FIELDS = ("time_s", "width_px", "height_px")
POINT_FIELDS = ("name", "x_px", "y_px", "x_m", "y_m", "latitude_deg", "longitude_deg")


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

    @property
    def origin_m(self) -> tuple[float, float]:
        """Where metres count from: zero, or the rounded middle of points that are far from it, as in UTM.

        With coordinates of thousands of kilometres, a camera's position would be lost in rounding.
        """
        metres = np.array([[point.x_m, point.y_m] for point in self.world_points], np.float64).reshape(-1, 2)
        if not len(metres) or np.abs(metres).max() < FAR_M:
            return 0.0, 0.0
        east, north = metres.mean(axis=0).round().tolist()
        return east, north

    def in_metres(self) -> tuple[ReferencePoints, Plane | None]:
        """These points in metres from `origin_m`; WGS84 coordinates on a local tangent plane, and that plane."""
        degrees = [(p.latitude_deg, p.longitude_deg) for p in self.points]
        known = np.array([pair for pair in degrees if None not in pair], np.float64)
        if not len(known):
            return replace(self, points=tuple(_from_origin(point, self.origin_m) for point in self.points)), None
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


def _from_origin(point: ReferencePoint, origin_m: tuple[float, float]) -> ReferencePoint:
    if point.x_m is None or point.y_m is None:
        return point
    return replace(point, x_m=point.x_m - origin_m[0], y_m=point.y_m - origin_m[1])


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items() if item is not None and item != ()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return value


def parse_points(path: Path, frame: Frame) -> ReferencePoints:
    """Read the file without the checks, for example an already checked one."""
    return points_from(content_of(path), frame, path.name)


def points_from(data: Any, frame: Frame, name: str) -> ReferencePoints:
    """Parse the content of the file. Raises PointsInvalid if its structure is wrong."""
    if not isinstance(data, dict):
        raise PointsInvalid(f"{name} is not a JSON object", remedy='Expected {"points": [...]}')
    _refuse_unknown(data, FIELDS, name)
    try:
        shown = _frame(data.get("frame"), frame, name)
        length = data.get("known_length")
        polygon = tuple(_pixel(corner, "road_polygon_px") for corner in _list(data, "road_polygon_px", name))
        points = tuple(_point(index, entry, name) for index, entry in enumerate(_list(data, "points", name)))
        known_length = None if length is None else _length(length)
    except (TypeError, ValueError) as error:
        raise PointsInvalid(
            f"{name} is malformed: {error}", remedy="See proposed_points.json for the format"
        ) from error
    if polygon and len(polygon) < FEWEST_CORNERS:
        raise PointsInvalid(f"road_polygon_px of {name} has only {len(polygon)} corners", remedy="Give at least 3")
    return ReferencePoints(shown, points, known_length, polygon)


def _refuse_unknown(entry: dict[str, Any], known: Sequence[str], where: str) -> None:
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise PointsInvalid(
            f"{where} has the unknown field {', '.join(unknown)}", remedy=f"Known fields: {', '.join(known)}"
        )


def _list(data: dict[str, Any], field: str, name: str) -> list[Any]:
    value = data.get(field) or []
    if not isinstance(value, list):
        raise TypeError(f"{field} of {name} is not a list")
    return value


def _frame(entry: Any, usual: Frame, name: str) -> Frame:
    """The frame of the file; what it omits is as usual."""
    if entry is None:
        return usual
    if not isinstance(entry, dict):
        raise TypeError(f"frame of {name} is {entry!r}, not an object with {', '.join(FRAME_FIELDS)}")
    _refuse_unknown(entry, FRAME_FIELDS, f"frame of {name}")
    known = {key: value for key, value in entry.items() if value is not None}
    width, height = (int(_number(known.get(side, getattr(usual, side)), side)) for side in FRAME_FIELDS[1:])
    return Frame(_number(known.get("time_s", usual.time_s), "time_s"), width, height)


def _number(value: Any, field: str) -> float:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # more digits than a number has
            number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{field} is {value!r}, but {value!r} is not a number")
    return number


def _pixel(value: Any, field: str) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004  x and y
        raise ValueError(f"{field} has {value!r}, which is not a pair of pixels")
    return _number(value[0], field), _number(value[1], field)


def _point(index: int, entry: Any, name: str) -> ReferencePoint:
    where = f"points[{index}]"
    if not isinstance(entry, dict):
        raise TypeError(f"{where} is {entry!r}, not an object with {', '.join(POINT_FIELDS)}")
    _refuse_unknown(entry, POINT_FIELDS, f"{where} of {name}")
    world: dict[str, float] = {}
    for pair in (("x_m", "y_m"), ("latitude_deg", "longitude_deg")):
        coordinates = {key: _number(entry[key], f"{key} of {where}") for key in pair if entry.get(key) is not None}
        if len(coordinates) == 1:
            raise ValueError(f"{where} has {next(iter(coordinates))} but not both {' and '.join(pair)}")
        world |= coordinates
    latitude = world.get("latitude_deg", 0.0)
    if not MIN_UTM_LATITUDE_DEG <= latitude <= MAX_UTM_LATITUDE_DEG or abs(world.get("longitude_deg", 0.0)) > 180:  # noqa: PLR2004  half a turn
        raise ValueError(f"{where} has a latitude or longitude out of range: are they swapped, or are they metres?")
    label = entry.get("name")
    pixels = (_number(entry.get(key), f"{key} of {where}") for key in ("x_px", "y_px"))
    return ReferencePoint(str(index + 1 if label is None else label), *pixels, **world)


def _length(entry: Any) -> KnownLength:
    if not isinstance(entry, dict):
        raise TypeError(f"known_length is {entry!r}, not an object with from_px, to_px, length_m")
    first, last = (_pixel(entry.get(end), f"{end} of known_length") for end in ("from_px", "to_px"))
    length = KnownLength(first, last, _number(entry.get("length_m"), "length_m of known_length"))
    if length.length_m <= 0 or length.from_px == length.to_px:
        raise ValueError("known_length must be greater than zero in pixels and in metres")
    return length
