"""A user's correction of the lanes: GeoJSON that replaces them, or names and joins those that were found.

    {"type": "FeatureCollection", "units": "metres",
     "features": [{"type": "Feature", "properties": {"lane_id": "in"},
                   "geometry": {"type": "LineString", "coordinates": [[0, 0], [40, 1]]}},
                  {"type": "Feature", "properties": {"lane_id": "main road", "of": ["L1", "L4"]}, "geometry": null}]}

Lines run as vehicles drive and replace all found lanes. A feature without a line gives found lanes one name. `units`
is `metres` (as `lanes.geojson`) or `pixels` (of the reference frame).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tracker.arrays import Floats
from tracker.errors import LanesInvalid
from tracker.geometry import transform
from tracker.lanes import Lane, course

UNITS = ("metres", "pixels")
REMEDY = "Take lanes.geojson of detect_lanes for the form"


@dataclass(frozen=True, slots=True)
class Correction:
    """`lines` are lanes by name, n x 2 metres; `names` says which found lane is to be called what."""

    lines: Mapping[str, Floats] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def lanes(self, found: list[Lane], width_m: float) -> list[Lane]:
        """The lanes that hold. Raises LanesInvalid where a found lane is named that there is not."""
        if self.lines:
            courses = {name: course(0, line) for name, line in self.lines.items()}
            return [Lane(name, one.points_m, one.headings_rad, (), width_m) for name, one in courses.items()]
        unknown = sorted(set(self.names) - {lane.lane_id for lane in found})
        if unknown:
            known = ", ".join(lane.lane_id for lane in found) or "none"
            raise LanesInvalid(f"the lanes file names {', '.join(unknown)}", remedy=f"Lanes that were found: {known}")
        return found


def read_correction(path: Path, to_world: Floats) -> Correction:
    """Read and check the file. Raises LanesInvalid saying which feature, what is wrong and what to do."""
    data, units = _collection(path)
    lines: dict[str, Floats] = {}
    names: dict[str, str] = {}
    for number, feature in enumerate(data["features"]):
        where = f"features[{number}] of {path.name}"
        lane_id = _lane_id(feature, where)
        if feature.get("geometry") is None:
            for old in _joined(feature, where):
                if names.setdefault(old, lane_id) != lane_id:
                    raise LanesInvalid(f"{path.name} gives {old!r} two names", remedy="Leave out one of them")
            continue
        if lane_id in lines:
            raise LanesInvalid(f"{path.name} has two lanes {lane_id!r}", remedy="Give each a name of its own")
        line = _line(feature["geometry"], where)
        lines[lane_id] = transform(to_world, line) if units == "pixels" else line
        if len(course(0, lines[lane_id]).points_m) < 2:  # noqa: PLR2004  a direction needs two points
            raise LanesInvalid(f"{where} is shorter than a metre", remedy="Are its units metres or pixels?")
    if lines and names:
        raise LanesInvalid(
            f"{path.name} both draws lanes and names found ones", remedy="Do one of the two: drawn lanes replace all"
        )
    return Correction(lines, names)


def _collection(path: Path) -> tuple[dict[str, Any], str]:
    """The content of the file, and its units."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LanesInvalid(f"{path.name} is not valid JSON: {error}", remedy=REMEDY) from error
    if not isinstance(data, dict) or not isinstance(data.get("features"), list) or not data["features"]:
        raise LanesInvalid(f"{path.name} holds no features", remedy=REMEDY)
    units = data.get("units", "metres")
    if units not in UNITS:
        raise LanesInvalid(f"units of {path.name} are {units!r}", remedy=f"Expected one of: {', '.join(UNITS)}")
    return data, units


def _lane_id(feature: Any, where: str) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    lane_id = (properties or {}).get("lane_id") if isinstance(properties, dict | None) else None
    lane_id = lane_id if lane_id is not None or not isinstance(feature, dict) else feature.get("id")
    if not isinstance(lane_id, str | int) or not str(lane_id).strip():
        raise LanesInvalid(f"{where} has no lane_id among its properties", remedy=REMEDY)
    return str(lane_id)


def _joined(feature: Mapping[str, Any], where: str) -> list[str]:
    joined = feature["properties"].get("of") if feature.get("properties") else None
    if not isinstance(joined, list) or not joined:
        raise LanesInvalid(f"{where} has neither a line nor `of`", remedy="Name the found lanes in `of`: [L1, L4]")
    return [str(name) for name in joined]


def _line(geometry: Any, where: str) -> Floats:
    if not isinstance(geometry, dict) or geometry.get("type") != "LineString":
        raise LanesInvalid(f"{where} is no LineString", remedy="Draw the middle of the lane, as vehicles drive")
    try:
        line = np.array([[float(x), float(y)] for x, y, *_ in geometry["coordinates"]]).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise LanesInvalid(f"{where} has coordinates that are no pairs of numbers", remedy=REMEDY) from error
    if len(line) < 2:  # noqa: PLR2004  a line has two ends
        raise LanesInvalid(f"{where} has {len(line)} point", remedy="A lane needs at least two")
    if not np.isfinite(line).all():
        raise LanesInvalid(f"{where} has coordinates that are no numbers", remedy=REMEDY)
    return line
