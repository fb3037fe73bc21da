"""A user's lane corrections: GeoJSON that replaces the detected lanes, or renames and joins them.

    {"type": "FeatureCollection", "units": "metres",
     "features": [{"type": "Feature", "properties": {"lane_id": "in"},
                   "geometry": {"type": "LineString", "coordinates": [[0, 0], [40, 1]]}},
                  {"type": "Feature", "properties": {"lane_id": "main road", "of": ["L1", "L4"]}, "geometry": null}]}

Lines run in driving direction and replace all detected lanes. A feature without a line gives one name to detected
lanes. `units` is `metres` (as `lanes.geojson`) or `pixels` (of the reference frame).
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
REMEDY = "See lanes.geojson of detect_lanes for the format"


@dataclass(frozen=True, slots=True)
class Correction:
    """`lines` maps lane names to lines (n x 2 metres); `names` maps detected lanes to their new names."""

    lines: Mapping[str, Floats] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def lanes(self, found: list[Lane], width_m: float) -> list[Lane]:
        """The final lanes. Raises LanesInvalid if a named lane was not detected."""
        if self.lines:
            courses = {name: course(0, line) for name, line in self.lines.items()}
            return [Lane(name, one.points_m, one.headings_rad, (), width_m) for name, one in courses.items()]
        unknown = sorted(set(self.names) - {lane.lane_id for lane in found})
        if unknown:
            known = ", ".join(lane.lane_id for lane in found) or "none"
            raise LanesInvalid(
                f"the lanes file names unknown lanes: {', '.join(unknown)}", remedy=f"Detected lanes: {known}"
            )
        return found


def read_correction(path: Path, to_world: Floats) -> Correction:
    """Read and check the file. Raises LanesInvalid with the feature, the problem and the remedy."""
    data, units = _collection(path)
    lines: dict[str, Floats] = {}
    names: dict[str, str] = {}
    for number, feature in enumerate(data["features"]):
        where = f"features[{number}] of {path.name}"
        lane_id = _lane_id(feature, where)
        if feature.get("geometry") is None:
            for old in _joined(feature, where):
                if names.setdefault(old, lane_id) != lane_id:
                    raise LanesInvalid(f"{path.name} gives two names to {old!r}", remedy="Remove one of them")
            continue
        if lane_id in lines:
            raise LanesInvalid(f"{path.name} has two lanes named {lane_id!r}", remedy="Give each lane its own name")
        line = _line(feature["geometry"], where)
        lines[lane_id] = transform(to_world, line) if units == "pixels" else line
        if len(course(0, lines[lane_id]).points_m) < 2:  # noqa: PLR2004  a direction needs two points
            raise LanesInvalid(f"{where} is shorter than a metre", remedy="Is `units` correct (metres or pixels)?")
    if lines and names:
        raise LanesInvalid(
            f"{path.name} both draws lanes and names detected ones",
            remedy="Do only one of the two: drawn lanes replace all detected ones",
        )
    return Correction(lines, names)


def _collection(path: Path) -> tuple[dict[str, Any], str]:
    """The content of the file, and its units."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LanesInvalid(f"{path.name} is not valid JSON: {error}", remedy=REMEDY) from error
    if not isinstance(data, dict) or not isinstance(data.get("features"), list) or not data["features"]:
        raise LanesInvalid(f"{path.name} contains no features", remedy=REMEDY)
    units = data.get("units", "metres")
    if units not in UNITS:
        raise LanesInvalid(f"{path.name} has units {units!r}", remedy=f"Expected one of: {', '.join(UNITS)}")
    return data, units


def _lane_id(feature: Any, where: str) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    lane_id = (properties or {}).get("lane_id") if isinstance(properties, dict | None) else None
    lane_id = lane_id if lane_id is not None or not isinstance(feature, dict) else feature.get("id")
    if not isinstance(lane_id, str | int) or not str(lane_id).strip():
        raise LanesInvalid(f"{where} has no lane_id property", remedy=REMEDY)
    return str(lane_id)


def _joined(feature: Mapping[str, Any], where: str) -> list[str]:
    joined = feature["properties"].get("of") if feature.get("properties") else None
    if not isinstance(joined, list) or not joined:
        raise LanesInvalid(
            f"{where} has neither a line nor `of`", remedy="Name the detected lanes in `of`, for example [L1, L4]"
        )
    return [str(name) for name in joined]


def _line(geometry: Any, where: str) -> Floats:
    if not isinstance(geometry, dict) or geometry.get("type") != "LineString":
        raise LanesInvalid(
            f"{where} is not a LineString", remedy="Draw the centre line of the lane in driving direction"
        )
    try:
        line = np.array([[float(x), float(y)] for x, y, *_ in geometry["coordinates"]]).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise LanesInvalid(f"{where} has coordinates that are not pairs of numbers", remedy=REMEDY) from error
    if len(line) < 2:  # noqa: PLR2004  a line has two ends
        raise LanesInvalid(f"{where} has only {len(line)} point(s)", remedy="A lane needs at least two points")
    if not np.isfinite(line).all():
        raise LanesInvalid(f"{where} has coordinates that are not finite numbers", remedy=REMEDY)
    return line
