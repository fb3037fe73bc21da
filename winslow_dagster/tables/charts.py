"""Charts of columns of a table. As many points as a screen has pixels, whatever the number of rows."""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from winslow_dagster.errors import InputRejected
from winslow_dagster.tables.model import Frozen
from winslow_dagster.tables.table import Table

ChartKind = Literal["line", "points", "histogram", "box"]
GROUPS_MOST = 20
BOXES_MOST = 40
SERIES_MOST = 24
GRID = (240, 120)
BINS = 60
LIMITS = "BETWEEN -1e300 AND 1e300"
ROW_NUMBER = "row"


class ChartQuery(Frozen):
    """What is drawn: columns `y` over the column `x` (by default the row number), one series for each value of `group`.

    `histogram`: how often the values of `y` occur; `box`: their quartiles, for each value of `group`.
    """

    kind: ChartKind = "line"
    x: str = ""
    y: tuple[str, ...] = ()
    group: str = ""
    where: tuple[str, ...] = ()
    log_x: bool = False
    log_y: bool = False


class Series(Frozen):
    """One line, cloud of points or histogram. Of a histogram, `x` are the middles of bins that are `width` wide."""

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]


class Box(Frozen):
    """The quartiles of the values of a group. Whiskers end at the last value within 1.5 interquartile ranges."""

    name: str
    count: int
    low: float
    first: float
    median: float
    third: float
    high: float
    min: float
    max: float


class Chart(Frozen):
    """What is drawn. `notes` say in sentences what is not."""

    query: ChartQuery
    rows: int
    series: tuple[Series, ...] = ()
    boxes: tuple[Box, ...] = ()
    width: float = 0.0
    notes: tuple[str, ...] = ()


def chart(table: Table, query: ChartQuery, points: int) -> Chart:
    """Draw it with about `points` points per series. Raises NotFound, InputRejected."""
    if not query.y:
        raise InputRejected("no column is chosen", where="chart", expected="a column of numbers")
    if len(query.y) > SERIES_MOST:
        raise InputRejected(f"{len(query.y)} columns are chosen", where="chart", expected=f"at most {SERIES_MOST}")
    with table.connection() as database:
        drawing = _Drawing(table, query, points, database)
        return drawing.boxes() if query.kind == "box" else drawing.series()


class _Drawing:
    def __init__(self, table: Table, query: ChartQuery, points: int, database: sqlite3.Connection) -> None:
        self._query, self._points, self._database = query, points, database
        self._condition, self._values = table.where(query.where)
        self._cells = f"cells WHERE {self._condition}"
        self._group = f"COALESCE(c{table.index(query.group)}, '')" if query.group else "''"
        self._x = self._axis("rowid" if query.x in {"", ROW_NUMBER} else table.number(query.x), log=query.log_x)
        self._y = {
            name: self._axis(table.number(name), log=query.log_y and query.kind != "histogram") for name in query.y
        }
        if query.kind == "histogram":
            self._y = {name: self._axis(table.number(name), log=query.log_x) for name in query.y}
        self._notes: list[str] = []
        self._groups = self._chosen_groups() if query.group else [""]
        self.rows = 0

    def _axis(self, sql: str, *, log: bool) -> str:
        return f"CASE WHEN ({sql}) > 0 THEN {sql} END" if log else sql

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._database.execute(sql, [*values]).fetchall()

    def _chosen_groups(self) -> list[str]:
        most = BOXES_MOST if self._query.kind == "box" else GROUPS_MOST
        found = self._ask(
            f"SELECT {self._group}, COUNT(*) FROM {self._cells} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",  # noqa: S608
            [*self._values, most + 1],
        )
        if len(found) > most:
            self._notes.append(f"Only the {most} largest groups are shown.")
        return sorted((group for group, _ in found[:most]), key=_natural)

    def series(self) -> Chart:
        made: list[Series] = []
        width = 0.0
        for name, y in self._y.items():
            rows, low, high = self._extent(self._x if self._query.kind != "histogram" else y, y)
            self.rows = max(self.rows, rows)
            if not rows:
                continue
            if self._query.kind == "histogram":
                found, width = self._histogram(y, low, high, rows)
            elif self._query.kind == "points":
                found = self._cloud(y, low, high, rows)
            else:
                found = self._line(y, low, high, rows)
            for group in self._groups:
                xs, ys = found.get(group, ((), ()))
                if xs:
                    made.append(Series(name=_series_name(name, group, self._query), x=tuple(xs), y=tuple(ys)))
        return Chart(query=self._query, rows=self.rows, series=tuple(made), width=width, notes=tuple(self._notes))

    def _extent(self, x: str, y: str) -> tuple[int, float, float]:
        ((rows, low, high),) = self._ask(
            f"SELECT COUNT(*), MIN({x}), MAX({x}) FROM {self._cells} AND ({x}) {LIMITS} AND ({y}) {LIMITS}",  # noqa: S608
            self._values,
        )
        return rows, low, high

    def _bucket(self, x: str, low: float, high: float, buckets: int, *, log: bool) -> str:
        """SQL for the number of the bucket."""
        if log:
            low, high, x = math.log(low), math.log(high), f"ln({x})"
        if high <= low:
            return "0"
        return f"MIN({buckets - 1}, CAST((({x}) - {low!r}) * {buckets / (high - low)!r} AS INTEGER))"

    def _at(self, bucket: float, low: float, high: float, buckets: int, *, log: bool) -> float:
        share = bucket / buckets
        return low * (high / low) ** share if log else low + (high - low) * share

    def _line(self, y: str, low: float, high: float, rows: int) -> dict[str, tuple[list[float], list[float]]]:
        found: dict[str, tuple[list[float], list[float]]] = {}
        if rows <= 2 * self._points * max(1, min(len(self._groups), 4)):
            for group, x, value in self._ask(
                f"SELECT {self._group}, {self._x}, {y} FROM {self._cells} AND ({self._x}) {LIMITS} "  # noqa: S608
                f"AND ({y}) {LIMITS} ORDER BY 2, rowid",
                self._values,
            ):
                _append(found, group, x, value)
            return found
        log = self._query.log_x
        bucket = self._bucket(self._x, low, high, self._points, log=log)
        for group, number, least, most in self._ask(
            f"SELECT {self._group}, {bucket}, MIN({y}), MAX({y}) FROM {self._cells} "  # noqa: S608
            f"AND ({self._x}) {LIMITS} AND ({y}) {LIMITS} GROUP BY 1, 2 ORDER BY 2",
            self._values,
        ):
            _append(found, group, self._at(number + 0.25, low, high, self._points, log=log), least)
            if most != least:
                _append(found, group, self._at(number + 0.75, low, high, self._points, log=log), most)
        self._notes.append(f"Of {rows:,} rows, the lowest and the highest value of each pixel are drawn.")
        return found

    def _cloud(self, y: str, low: float, high: float, rows: int) -> dict[str, tuple[list[float], list[float]]]:
        found: dict[str, tuple[list[float], list[float]]] = {}
        where = f"{self._condition} AND ({self._x}) {LIMITS} AND ({y}) {LIMITS}"
        if rows <= self._points * 4:
            sql = f"SELECT {self._group}, {self._x}, {y} FROM cells WHERE {where} ORDER BY 2, rowid"  # noqa: S608
        else:
            _, bottom, top = self._extent(y, self._x)
            across = self._bucket(self._x, low, high, GRID[0], log=self._query.log_x)
            up = self._bucket(y, bottom, top, GRID[1], log=self._query.log_y)
            sql = (
                f"SELECT {self._group}, {self._x}, {y} FROM cells WHERE {where} "  # noqa: S608
                f"GROUP BY {self._group}, {across}, {up} ORDER BY 2"
            )
            self._notes.append(f"Of {rows:,} rows, one point is drawn where several would cover each other.")
        for group, x, value in self._ask(sql, self._values):
            _append(found, group, x, value)
        return found

    def _histogram(
        self, y: str, low: float, high: float, rows: int
    ) -> tuple[dict[str, tuple[list[float], list[float]]], float]:
        bins = max(1, min(BINS, math.ceil(2 * rows ** (1 / 2))))
        log = self._query.log_x
        bucket = self._bucket(y, low, high, bins, log=log)
        counts: dict[str, list[int]] = {}
        for group, number, count in self._ask(
            f"SELECT {self._group}, {bucket}, COUNT(*) FROM {self._cells} AND ({y}) {LIMITS} GROUP BY 1, 2",  # noqa: S608
            self._values,
        ):
            counts.setdefault(group, [0] * bins)[number] = count
        middles = [self._at(each + 0.5, low, high, bins, log=log) for each in range(bins)]
        return {group: (middles, [*map(float, each)]) for group, each in counts.items()}, (high - low) / bins

    def boxes(self) -> Chart:
        made = []
        for name, y in self._y.items():
            ordered = self._database.execute(
                f"SELECT {self._group}, {y} FROM {self._cells} AND ({y}) {LIMITS} ORDER BY 1, 2",  # noqa: S608
                self._values,
            )
            wanted = set(self._groups)
            for group, rows in groupby(ordered, key=lambda row: row[0]):
                values = array("d", (value for _, value in rows))
                self.rows += len(values)
                if group in wanted:
                    made.append(_box(_series_name(name, group, self._query), values))
        made.sort(key=lambda box: _natural(box.name))
        return Chart(query=self._query, rows=self.rows, boxes=tuple(made), notes=tuple(self._notes))


def _append(found: dict[str, tuple[list[float], list[float]]], group: str, x: float, y: float) -> None:
    xs, ys = found.setdefault(group, ([], []))
    xs.append(x)
    ys.append(y)


def _series_name(column: str, group: str, query: ChartQuery) -> str:
    if not query.group:
        return column
    shown = str(group) or "(empty)"
    return shown if len(query.y) == 1 else f"{column}, {shown}"


def _natural(text: Any) -> tuple[bool, float, str]:
    try:
        return False, float(text), ""
    except ValueError:
        return True, 0.0, str(text)


def _box(name: str, ordered: Sequence[float]) -> Box:
    first, median, third = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    reach = 1.5 * (third - first)
    return Box(
        name=name,
        count=len(ordered),
        low=next(value for value in ordered if value >= first - reach),
        first=first,
        median=median,
        third=third,
        high=next(value for value in reversed(ordered) if value <= third + reach),
        min=ordered[0],
        max=ordered[-1],
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
