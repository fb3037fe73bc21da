"""One table that was read: windows of its rows, filtered and sorted, in bounded memory and time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.tables.filters import Condition, parse_condition
from winslow_dagster.tables.model import TableShape, TableWindow

TIMEOUT_S = 30.0
CHECK_EVERY = 20_000
"""Steps of the database between looks at the clock."""
CELLS_MOST = 40_000
SHOWN_CHARACTERS = 1000
ORDERS_BYTES = 128 << 20


class _Orders:
    """Which rows a filter leaves, in which order: kept for a while, because windows follow windows."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> array[int] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Any, order: array[int]) -> None:
        with self._lock:
            self._kept[key] = order
            while sum(len(each) * each.itemsize for each in self._kept.values()) > ORDERS_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)


ORDERS = _Orders()


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a database file."""

    path: Path
    shape: TableShape

    @classmethod
    def open(cls, path: Path) -> Table:
        """The table in the file. Raises FileNotFoundError."""
        if not path.exists():
            raise FileNotFoundError(path)
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            (text,) = database.execute("SELECT shape FROM facts").fetchone()
        return cls(path, TableShape.model_validate_json(text))

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection whose queries end after a while. Raises InputRejected then."""
        deadline_s = time.monotonic() + TIMEOUT_S
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.executescript("PRAGMA temp_store = FILE; PRAGMA cache_size = -16000;")
            database.set_progress_handler(lambda: time.monotonic() > deadline_s, CHECK_EVERY)
            try:
                yield database
            except sqlite3.OperationalError as error:
                if "interrupted" not in str(error):
                    raise
                raise InputRejected(
                    f"that took longer than {TIMEOUT_S:.0f} s", expected="fewer rows", remedy="Add a filter"
                ) from error

    def index(self, name: str) -> int:
        """Where the column is. Raises NotFound."""
        for index, column in enumerate(self.shape.columns):
            if column.name == name:
                return index
        raise NotFound(f"the table has no column {name!r}", expected="one of its columns")

    def number(self, name: str) -> str:
        """SQL for the number in a column; NULL where there is none. Raises NotFound, InputRejected."""
        index = self.index(name)
        column = self.shape.columns[index]
        if column.kind == "text":
            raise InputRejected(f"the column {name!r} contains words", expected="a column of numbers")
        return _number(index, decimal_comma=column.decimal_comma)

    def conditions(self, where: Sequence[str]) -> tuple[Condition, ...]:
        """What the texts mean. Raises InputRejected."""
        return tuple(parse_condition(text, self.shape.columns) for text in where)

    def where(self, where: Sequence[str]) -> tuple[str, list[Any]]:
        """SQL for all of the conditions, and its values. Raises InputRejected."""
        parts, values = ["1"], []
        for each in self.conditions(where):
            column = self.shape.columns[each.column]
            number = _number(each.column, decimal_comma=column.decimal_comma) if column.kind == "number" else None
            sql, own = each.sql(f"c{each.column}", number)
            parts.append(sql)
            values += own
        return " AND ".join(parts), values

    def window(
        self, begin: int, count: int, *, columns: Sequence[str] = (), sort: str = "", where: Sequence[str] = ()
    ) -> TableWindow:
        """Rows from `begin` (from 0) on, of those that the filter leaves. `sort`: a column; `-column` is descending.

        There are fewer than `count` at the end, and of very wide tables. Raises NotFound, InputRejected.
        """
        chosen = [self.index(name) for name in columns] or list(range(len(self.shape.columns)))
        count = min(count, max(1, CELLS_MOST // len(chosen)))
        if where or sort:
            order = self._order(sort, tuple(where))
            matching, numbers = len(order), list(order[begin : begin + count])
        else:
            matching = self.shape.rows
            numbers = list(range(begin + 1, min(begin + count, matching) + 1))
        return TableWindow(
            shape=self.shape,
            columns=tuple(self.shape.columns[index].name for index in chosen),
            matching=matching,
            begin=begin,
            numbers=tuple(numbers),
            rows=self._rows(numbers, chosen),
        )

    def rows(self, numbers: Sequence[int], columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The rows with these numbers, from 1. Raises NotFound for an unknown column."""
        if not columns:
            return tuple(() for _ in numbers)
        return self._rows(numbers, [self.index(name) for name in columns])

    def _rows(self, numbers: Sequence[int], chosen: Sequence[int]) -> tuple[tuple[str, ...], ...]:
        if not numbers:
            return ()
        cells = ", ".join(
            f"CASE typeof(c{at}) WHEN 'text' THEN substr(c{at}, 1, {SHOWN_CHARACTERS + 1}) ELSE c{at} END"
            for at in chosen
        )
        wanted = ", ".join(map(str, numbers))
        with self.connection() as database:
            found = {
                row[0]: tuple(map(_shown, row[1:]))
                for row in database.execute(f"SELECT rowid, {cells} FROM cells WHERE rowid IN ({wanted})")  # noqa: S608
            }
        return tuple(found[number] for number in numbers)

    def _order(self, sort: str, where: tuple[str, ...]) -> array[int]:
        key = (self.path, sort, where)
        if (kept := ORDERS.get(key)) is not None:
            return kept
        condition, values = self.where(where)
        order = self._sorted_by(sort) if sort else "rowid"
        found = array("I")
        with self.connection() as database:
            query = f"SELECT rowid FROM cells WHERE {condition} ORDER BY {order}"  # noqa: S608  # from numbers of columns
            for (number,) in database.execute(query, values):
                found.append(number)
        ORDERS.keep(key, found)
        return found

    def _sorted_by(self, sort: str) -> str:
        """SQL for the order. What is empty comes last."""
        ascending = any(each.name == sort for each in self.shape.columns)
        index = self.index(sort if ascending else sort.removeprefix("-"))
        column = self.shape.columns[index]
        numbers = column.kind == "number"
        by = _number(index, decimal_comma=column.decimal_comma) if numbers else f"NULLIF(c{index}, '')"
        return f"({by}) IS NULL, {by} {'ASC' if ascending else 'DESC'}, rowid"


def _number(index: int, *, decimal_comma: bool) -> str:
    cell = f"REPLACE(c{index}, ',', '.')" if decimal_comma else f"c{index}"
    return f"CASE WHEN c{index} GLOB '*[0-9]*' THEN CAST({cell} AS REAL) END"


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    text = cell if isinstance(cell, str) else repr(cell)
    return f"{text[:SHOWN_CHARACTERS]}…" if len(text) > SHOWN_CHARACTERS else text
