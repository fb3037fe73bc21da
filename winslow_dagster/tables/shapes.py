"""Features of a GeoJSON file that was read as a table, by windows, with as many vertices as a screen can show."""

from __future__ import annotations

import json
from typing import Any

from winslow_dagster.errors import InputRejected
from winslow_dagster.tables.geojson_rows import HEADER
from winslow_dagster.tables.model import Frozen
from winslow_dagster.tables.table import Table

VERTICES_MOST = 2000
"""Of one line or ring."""
WINDOW_CHARACTERS = 8 << 20
PROPERTIES_MOST = 100
LONGEST_PROPERTY = 500


class Shape(Frozen):
    """One feature: lines, each a list of positions, closed for a polygon; a point is a line of one position."""

    number: int
    type: str
    lines: tuple[tuple[tuple[float, float], ...], ...]
    properties: dict[str, Any]


class Shapes(Frozen):
    """Some features from `begin` (from 0) on, and the box around all: x_min, y_min, x_max, y_max,
    which are None if no feature has a position.
    """

    total: int
    begin: int
    shapes: tuple[Shape, ...]
    box: tuple[float | None, float | None, float | None, float | None]
    notes: tuple[str, ...] = ()


def shapes_of(table: Table, begin: int, count: int) -> Shapes:
    """Features of the file. There are fewer than `count` at the end, and if they are large. Raises InputRejected."""
    if tuple(column.name for column in table.shape.columns) != HEADER:
        raise InputRejected("the file has no shapes", expected="GeoJSON")
    made: list[Shape] = []
    characters = 0
    with table.connection() as database:
        rows = database.execute(
            "SELECT rowid, c0, c5, c6 FROM cells WHERE rowid > ? ORDER BY rowid LIMIT ?", (begin, count)
        )
        for number, kind, properties, geometry in rows:
            characters += len(geometry)
            if made and characters > WINDOW_CHARACTERS:
                break
            made.append(_shape(number, kind, properties, geometry))
    left, top, right, bottom = table.shape.columns[1:5]
    box = (left.min, top.min, right.max, bottom.max)
    return Shapes(
        total=table.shape.rows,
        begin=begin,
        shapes=tuple(made),
        box=box,
        notes=table.shape.notes,
    )


def _shape(number: int, kind: str, properties: str, geometry: str) -> Shape:
    lines: list[tuple[tuple[float, float], ...]] = []
    try:
        _lines(json.loads(geometry) if geometry else None, lines)
    except (ValueError, RecursionError):
        kind = "too large"
    known = json.loads(properties) if properties.endswith("}") else {}
    shown = {
        str(key)[:LONGEST_PROPERTY]: value
        if isinstance(value, int | float | bool | None)
        else str(value)[:LONGEST_PROPERTY]
        for key, value in list(known.items())[:PROPERTIES_MOST]
    }
    return Shape(number=number, type=kind, lines=tuple(lines), properties=shown)


def _lines(value: Any, lines: list[tuple[tuple[float, float], ...]]) -> None:
    if isinstance(value, dict):
        for each in value.get("geometries") or ([value["coordinates"]] if "coordinates" in value else []):
            _lines(each, lines)
    elif isinstance(value, list) and value:
        if _is_position(value):
            lines.append((_position(value),))
        elif all(_is_position(each) for each in value):
            every = -(-len(value) // VERTICES_MOST)
            kept = value[::every] if value[-1] is value[::every][-1] else [*value[::every], value[-1]]
            lines.append(tuple(map(_position, kept)))
        else:
            for each in value:
                _lines(each, lines)


def _is_position(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(each, int | float) and abs(each) < 1e300 for each in value[:2])  # noqa: PLR2004  # of a float
    )


def _position(value: list[float]) -> tuple[float, float]:
    return float(value[0]), float(value[1])
