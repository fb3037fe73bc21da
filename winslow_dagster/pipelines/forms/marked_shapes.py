"""Validates points, polygons and lines that a person marked on an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from winslow_dagster.pipelines.forms.answer_fields import PointsAnswer, ShapesAnswer
from winslow_dagster.pipelines.forms.answer_values import Refused, document_value
from winslow_dagster.pipelines.forms.polygons import self_intersection
from winslow_dagster.pipelines.model.form import ImageField, PointsField, PolygonField, ShapesField
from winslow_dagster.pipelines.problems import nearest, shown

Size = tuple[int, int]

FARTHEST_LONGITUDE = 180
FARTHEST_LATITUDE = 90


def points_value(field: PointsField, value: Any, size: Size | None) -> list[dict[str, Any]]:
    """`[{"label", "x", "y", "world": [a, b] or null}, …]`; points without a label are named by their number.

    Raises Refused.
    """
    written = document_value(PointsAnswer, value)
    faults = list(_count_faults(field, len(written), "point"))
    points = []
    for number, point in enumerate(written, 1):
        faults += _label_faults(field, point, f"point {number}")
        faults += _place_faults(field, point, size, f"point {number}")
        points.append({"label": point.get("label", f"P{number}")} | _corner(point) | _frame(point))
    faults += _frame_faults(field, written)
    if faults:
        raise Refused(*faults)
    return points


def shapes_value(field: ShapesField, value: Any, size: Size | None) -> list[dict[str, Any]]:
    """`[{"label", "points": [{"x", "y", "world"}, …]}, …]`.

    Raises Refused.
    """
    noun = field.kind.removesuffix("s")
    written = document_value(ShapesAnswer, value)
    faults = list(_count_faults(field, len(written), noun))
    shapes = []
    for number, shape in enumerate(written, 1):
        label = f"{noun} {number}"
        faults += _label_faults(field, shape, label)
        for place, corner in enumerate(shape["points"], 1):
            faults += _place_faults(field, corner, size, f"point {place} of {label}")
        faults += _course_faults(field, [(corner["x"], corner["y"]) for corner in shape["points"]], label)
        points = [_corner(corner) for corner in shape["points"]]
        shapes.append({"label": shape.get("label", f"{noun} {number}"), "points": points} | _frame(shape))
    faults += _frame_faults(field, written)
    if faults:
        raise Refused(*faults)
    return shapes


def _corner(written: dict[str, Any]) -> dict[str, Any]:
    return {"x": written["x"], "y": written["y"], "world": written.get("world")}


def _frame(written: dict[str, Any]) -> dict[str, Any]:
    return {"frame": written["frame"]} if "frame" in written else {}


def _frame_faults(field: ImageField, written: list[dict[str, Any]]) -> Iterator[str]:
    """Marks on a video are all on the same frame."""
    frames = sorted({marked["frame"] for marked in written if "frame" in marked})
    if not field.video:
        if frames:
            yield f"has the frame {frames[0]}; expected no `frame`, because an image is marked"
    elif any("frame" not in marked for marked in written):
        yield "has a mark without `frame`; expected the index of the frame that is marked"
    elif len(frames) > 1:
        yield f"has marks on the frames {', '.join(map(str, frames[:3]))}; expected one frame"


def _count_faults(field: ImageField, count: int, noun: str) -> Iterator[str]:
    if count < field.min_count:
        yield f"has {count} {noun}s; expected at least {field.min_count}"
    if count > field.max_count:
        yield f"has {count} {noun}s; expected at most {field.max_count}"


def _label_faults(field: ImageField, marked: dict[str, Any], label: str) -> Iterator[str]:
    written = marked.get("label")
    if field.labels and written not in field.labels:
        close = nearest(written, field.labels) if written else ""
        hint = f"; did you mean {close}?" if close else ""
        problem = "has no label" if written is None else f"has the label {shown(written)}"
        yield f"{label} {problem}; expected one of {', '.join(field.labels)}{hint}"


def _place_faults(field: ImageField, corner: dict[str, Any], size: Size | None, label: str) -> Iterator[str]:
    if size is not None and not (corner["x"] < size[0] and corner["y"] < size[1]):
        at = f"({corner['x']:g}, {corner['y']:g})"
        yield f"{label} is at {at}; expected a point inside the image of {size[0]}x{size[1]}"
    world = corner.get("world")
    if world is None:
        if field.world in {"metres", "wgs84"}:
            yield f"{label} has no world coordinates; expected `world` as {_kind_of_world(field)}"
    elif field.world == "none":
        yield f"{label} has world coordinates; expected no `world`"
    elif field.world == "wgs84" and (abs(world[0]) > FARTHEST_LONGITUDE or abs(world[1]) > FARTHEST_LATITUDE):
        yield f"{label} has the world coordinates {world[0]:g}, {world[1]:g}; expected {_kind_of_world(field)}"


def _kind_of_world(field: ImageField) -> str:
    return "[longitude, latitude] in degrees" if field.world == "wgs84" else "[x, y] in metres"


def _course_faults(field: ShapesField, corners: list[tuple[float, float]], label: str) -> Iterator[str]:
    """The faults of a shape's outline."""
    distinct = len(set(corners))
    if distinct < field.min_points:
        yield f"{label} has {distinct} different points; expected at least {field.min_points}"
    elif not isinstance(field, PolygonField):
        return
    elif distinct < len(corners):
        twice = next(corner for index, corner in enumerate(corners) if corner in corners[:index])
        yield f"{label} has the corner ({twice[0]:g}, {twice[1]:g}) twice; expected each corner once"
    elif meeting := self_intersection(corners):
        first, second = (f"{edge + 1}-{(edge + 1) % len(corners) + 1}" for edge in meeting)
        yield f"{label} intersects itself: its edges {first} and {second} meet; expected a simple polygon"
