"""Columns of CSV files as curves, with as many points as a screen can show."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from itertools import islice, pairwise

from pydantic import BaseModel, ConfigDict

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import nearest
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.projects.comparison.csv_file import CsvFile, CsvSource, NoTable

MOST_BYTES = 64 << 20
MOST_ROWS = 1_000_000
"""Of one curve, and of all together twice as many."""
POINTS = 1_000
MOST_POINTS = 4_000
SAMPLE_ROWS = 200
MOST_COLUMNS = 200
ROW = ""
"""In place of a column for x: the number of the row."""


class Curve(BaseModel):
    """One file's curve. `fault` is why it has none; `cut`: only its first part was read.

    Of more rows than points, the least and the greatest values of each part are kept, so that no peak is lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    rows: int = 0
    cut: bool = False
    fault: str = ""


class Chart(BaseModel):
    """Curves of the same columns. `columns` have numbers in at least one of the files; an empty `x` is the row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    x: str
    y: str
    columns: tuple[str, ...]
    curves: tuple[Curve, ...]


def numeric_columns(source: CsvSource) -> tuple[str, ...]:
    """The columns that have nothing but numbers in the first rows. Raises NoTable."""
    table = source.open(MOST_BYTES)
    rows = [row for _, row in islice(table.records(), SAMPLE_ROWS)]
    return tuple(
        name
        for place, name in enumerate(table.columns[:MOST_COLUMNS])
        if (cells := [row[place] for row in rows if place < len(row) and row[place].strip()])
        and all(parse_finite(cell.strip()) is not None for cell in cells)
    )


def axes(columns: tuple[str, ...], x: str, y: str) -> tuple[str, str]:
    """The columns to draw: as requested, or else the second over the first. Raises InputRejected."""
    for name in (x, y):
        if name and name not in columns:
            suggestion = nearest(name, set(columns))
            raise InputRejected(
                f"{name!r} is not a column with numbers",
                expected=f"one of {', '.join(columns[:20])}" if columns else "a table with numbers",
                remedy=f"Did you mean {suggestion}?" if suggestion else "",
            )
    if y:
        return x, y
    others = [name for name in columns if name != x]
    if not x and len(others) > 1:
        return others[0], others[1]
    return x, others[0] if others else x


def curve(  # noqa: PLR0913  # what is drawn, and how much of it
    attempt: str, source: CsvSource, x: str, y: str, *, points: int = POINTS, rows: int = MOST_ROWS
) -> Curve:
    """The curve of one file. What cannot be read is its `fault`."""
    xs, ys = array("d"), array("d")
    try:
        table = source.open(MOST_BYTES)
        missing = [name for name in (x, y) if name and name not in table.columns]
        if missing:
            return Curve(attempt=attempt, fault=f"has no column {missing[0]}")
        cut = table.cut
        for row, one, other in _numbers(table, x, y):
            if row > rows:
                cut = True
                break
            xs.append(one)
            ys.append(other)
    except NoTable as error:
        return Curve(attempt=attempt, fault=f"cannot be read as a table: {error}")
    if any(one > other for one, other in pairwise(xs)):
        order = sorted(range(len(xs)), key=xs.__getitem__)
        xs, ys = array("d", [xs[place] for place in order]), array("d", [ys[place] for place in order])
    chosen = _chosen(ys, points)
    return Curve(
        attempt=attempt,
        x=tuple(xs[place] for place in chosen),
        y=tuple(ys[place] for place in chosen),
        rows=len(xs),
        cut=cut,
    )


def _numbers(table: CsvFile, x: str, y: str) -> Iterator[tuple[int, float, float]]:
    of_x, of_y = (table.columns.index(name) if name else None for name in (x, y))
    for number, (_, row) in enumerate(table.records(), 1):
        one, other = (float(number) if place is None else _cell(row, place) for place in (of_x, of_y))
        if one is not None and other is not None:
            yield number, one, other


def _cell(row: list[str], place: int) -> float | None:
    if place >= len(row):
        return None
    text = row[place]
    try:
        number = float(text)
    except ValueError:
        return parse_finite(text.strip())
    return number if math.isfinite(number) and "_" not in text else None


def _chosen(ys: array[float], points: int) -> list[int]:
    """The places of the least and the greatest value of each part, and of the first and the last."""
    if len(ys) <= points:
        return list(range(len(ys)))
    parts = max(1, points // 2 - 1)
    chosen = {0, len(ys) - 1}
    for part in range(parts):
        places = range(part * len(ys) // parts, (part + 1) * len(ys) // parts)
        chosen |= {min(places, key=ys.__getitem__), max(places, key=ys.__getitem__)}
    return sorted(chosen)
