"""Reads marks from a reference points file of the TrackerApplication, so that one file serves film and form.

    {"frame": {"width_px": 1920, "height_px": 1080},
     "points": [{"name": "kerb", "x_px": 412.0, "y_px": 300.5, "x_m": 0.0, "y_m": 0.0}, …],
     "known_length": {"from_px": [100, 200], "to_px": [300, 200], "length_m": 12.0},
     "road_polygon_px": [[0, 300], [1919, 300], [1919, 700]]}

Its pixels count from the centre of the upper left pixel, those of an answer from the corner of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from winslow_dagster.pipelines.forms.answer_values import Refused
from winslow_dagster.pipelines.model.form import ImageField, PointsField, PolygonField
from winslow_dagster.pipelines.problems import shown

KEYS = frozenset({"frame", "points", "known_length", "road_polygon_px"})
CENTRE_OF_A_PIXEL = 0.5
EXPECTED = "a points file, or a list of marks"
METRES, DEGREES = ("x_m", "y_m"), ("longitude_deg", "latitude_deg")

Size = tuple[int, int]


def marks_from(field: ImageField, value: Any, size: Size | None) -> Any:
    """The marks of the field if the value is the content of a points file; otherwise the value. Raises Refused."""
    if not isinstance(value, Mapping) or not KEYS.intersection(value):
        return value
    unknown = sorted(map(str, set(value) - KEYS))
    if unknown:
        raise Refused(f"has the unknown key {shown(unknown[0])}; expected {EXPECTED}")
    try:
        _require_size(value.get("frame") or {}, size)
        if isinstance(field, PointsField):
            return [_point(field, entry) for entry in _present(value, "points")]
        if isinstance(field, PolygonField):
            return [{"points": [_pixel(corner) for corner in _present(value, "road_polygon_px")]}]
        length = _present(value, "known_length")
        return [{"points": [_pixel(length["from_px"]), _pixel(length["to_px"])]}]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused(f"is not a valid points file ({error!r}); expected {EXPECTED}") from error


def length_from(value: Any) -> float | None:
    """The known length in metres of a points file; None if the value is none, or has none."""
    length = value.get("known_length") if isinstance(value, Mapping) else None
    metres = length.get("length_m") if isinstance(length, Mapping) else None
    return float(metres) if isinstance(metres, int | float) and not isinstance(metres, bool) else None


def _present(value: Mapping[str, Any], key: str) -> Any:
    if value.get(key) is None:
        raise Refused(f"is a points file without `{key}`")
    return value[key]


def _require_size(frame: Mapping[str, Any], size: Size | None) -> None:
    theirs = (frame.get("width_px"), frame.get("height_px"))
    if size is not None and None not in theirs and theirs != size:
        raise Refused(f"is for a frame of {theirs[0]}x{theirs[1]} pixels; the image has {size[0]}x{size[1]}")


def _point(field: PointsField, entry: Mapping[str, Any]) -> dict[str, Any]:
    names = DEGREES if entry.get(DEGREES[0]) is not None else METRES
    if names is DEGREES and field.world in {"metres", "optional"}:
        raise Refused("has latitudes and longitudes; expected metres")
    if names is METRES and entry.get(METRES[0]) is not None and field.world == "wgs84":
        raise Refused("has metres; expected latitudes and longitudes")
    point = _pixel((entry["x_px"], entry["y_px"]))
    if entry.get("name") is not None:
        point["label"] = str(entry["name"])
    if entry.get(names[0]) is not None:
        point["world"] = [_number(entry[name]) for name in names]
    return point


def _pixel(place: Any) -> dict[str, Any]:
    x, y = place
    return {"x": _number(x) + CENTRE_OF_A_PIXEL, "y": _number(y) + CENTRE_OF_A_PIXEL}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)
