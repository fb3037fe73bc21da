"""Compares two tables row by row, by key columns or by position. The database does it, so that memory is bounded."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pydantic import Field

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import nearest
from winslow_dagster.tables.model import Frozen, Reading
from winslow_dagster.tables.table import Table

TIMEOUT_S = 120.0
CHECK_EVERY = 20_000
"""Steps of the database between looks at the clock."""
MOST_COLUMNS = 200
SAMPLE_ROWS = 5_000
MOST_KEYS = 3
"""A key is looked for among the first columns that both tables have."""
MOST_KEPT = 4
LONGEST_CELL = 200

RowKind = Literal["changed", "added", "removed"]
KINDS: tuple[RowKind, ...] = ("changed", "added", "removed")


class RowDiff(Frozen):
    """A row that differs. Rows are numbered from 1, without the header; cells are those of the view's `columns`.

    `changed` are the columns whose cells differ.
    """

    kind: RowKind
    left_row: int | None
    right_row: int | None
    left: tuple[str, ...] | None
    right: tuple[str, ...] | None
    changed: tuple[str, ...] = ()


class TableDiff(Frozen):
    """What differs between two tables, and some of the rows that differ: first the changed, then added, then removed.

    `key` are the columns that tell which rows belong together; without any, rows at the same position do. Rows with an
    equal key are paired in their order. Numbers are equal however they are written. Added are rows and columns that
    only the right table has. `faults` say why a table could not be read, `notes` what was left out. While `reading` is
    set, a table is still being read.
    """

    path: str
    reading: Reading | None = None
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    left_rows: int = 0
    right_rows: int = 0
    counts: dict[RowKind, int] = Field(default_factory=dict)
    same: int = 0
    first: int = 1
    rows: tuple[RowDiff, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many rows differ."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class _Differences:
    """The numbers of the rows that differ, on the left and on the right; 0 on a side that has no such row."""

    key: tuple[str, ...]
    same: int
    repeated: int
    rows: dict[RowKind, tuple[array[int], array[int]]]


class _Kept:
    """The latest comparisons: whoever pages through one does not wait for it again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[object, ...], _Differences] = OrderedDict()

    def get(self, pair: _Pair, key: tuple[str, ...] | None) -> _Differences:
        name = (pair.left.path, pair.right.path, key)
        with self._lock:
            if name in self._found:
                self._found.move_to_end(name)
                return self._found[name]
        found = pair.differences(key)
        with self._lock:
            self._found[name] = found
            while len(self._found) > MOST_KEPT:
                self._found.popitem(last=False)
        return found


KEPT = _Kept()


def diff(  # noqa: PLR0913  # what is compared, and which part is shown
    left: Table,
    right: Table,
    path: str,
    *,
    key: Sequence[str] | None = None,
    kinds: Sequence[RowKind] = KINDS,
    first: int = 1,
    count: int = 100,
) -> TableDiff:
    """The rows that differ, from the one numbered `first` on. Without a `key`, one is looked for.

    Raises InputRejected for an unknown column, and if it takes too long.
    """
    pair = _Pair(left, right)
    found = KEPT.get(pair, None if key is None else tuple(key))
    names = tuple(dict.fromkeys((*found.key, *pair.names(left), *pair.names(right))))
    columns = names[:MOST_COLUMNS]
    notes = tuple(f"{side}: {note}" for side, table in (("left", left), ("right", right)) for note in table.shape.notes)
    if len(names) > len(columns):
        notes += (f"the tables have {len(names)} columns; the first {len(columns)} are shown",)
    if found.key and found.repeated:
        by = ", ".join(found.key)
        notes += (f"{by} does not identify every row: {found.repeated:,} rows repeat a key, and are paired in order",)
    shown = list(islice(_places(found, kinds), first - 1, first - 1 + count))
    return TableDiff(
        path=path,
        key=found.key,
        columns=columns,
        columns_added=tuple(name for name in pair.names(right) if name not in set(pair.names(left)))[:MOST_COLUMNS],
        columns_removed=tuple(name for name in pair.names(left) if name not in set(pair.names(right)))[:MOST_COLUMNS],
        left_rows=left.shape.rows,
        right_rows=right.shape.rows,
        counts={kind: len(found.rows[kind][0]) for kind in KINDS},
        same=found.same,
        first=first,
        rows=pair.rows(shown, columns),
        notes=notes,
    )


def _places(found: _Differences, kinds: Sequence[RowKind]) -> Iterator[tuple[RowKind, int, int]]:
    for kind in KINDS:
        if kind in kinds:
            for one, other in zip(*found.rows[kind], strict=True):
                yield kind, one, other


class _Pair:
    """Two tables in one connection: `a` and `b` are views of them with comparable cells `v0`, `v1`, …."""

    def __init__(self, left: Table, right: Table) -> None:
        self.left, self.right = left, right
        known = {column.name: column for column in right.shape.columns}
        self.shared = tuple(column.name for column in left.shape.columns if column.name in known)
        self._texts = frozenset(
            column.name
            for column in left.shape.columns
            if column.name in known and "text" in {column.kind, known[column.name].kind}
        )

    @staticmethod
    def names(table: Table) -> tuple[str, ...]:
        return tuple(column.name for column in table.shape.columns)

    def _cell(self, table: Table, name: str) -> str:
        cell = f"c{table.index(name)}"
        return (
            f"COALESCE(CAST({cell} AS TEXT), '')"
            if name in self._texts
            else f"COALESCE({table.number(name)}, {cell}, '')"
        )

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        deadline_s = time.monotonic() + TIMEOUT_S
        with contextlib.closing(sqlite3.connect("", uri=True)) as database:
            database.executescript("PRAGMA temp_store = FILE; PRAGMA cache_size = -32000;")
            for name, view, table in (("l", "a", self.left), ("r", "b", self.right)):
                database.execute(f"ATTACH ? AS {name}", (f"{table.path.as_uri()}?mode=ro&immutable=1",))
                cells = "".join(f", {self._cell(table, each)} AS v{at}" for at, each in enumerate(self.shared))
                database.execute(f"CREATE TEMP VIEW {view} AS SELECT rowid AS number{cells} FROM {name}.cells")  # noqa: S608
            database.set_progress_handler(lambda: time.monotonic() > deadline_s, CHECK_EVERY)
            try:
                yield database
            except sqlite3.OperationalError as error:
                if "interrupted" not in str(error):
                    raise
                raise InputRejected(
                    f"comparing the tables took longer than {TIMEOUT_S:.0f} s", expected="tables with fewer rows"
                ) from error

    def differences(self, key: tuple[str, ...] | None) -> _Differences:
        """Compare all rows."""
        for name in key or ():
            if name not in self.shared:
                suggestion = nearest(name, set(self.shared))
                raise InputRejected(
                    f"{name!r} is not a column of both tables",
                    expected=f"one of {', '.join(self.shared[:20])}" if self.shared else "tables with common columns",
                    remedy=f"Did you mean {suggestion}?" if suggestion else "",
                )
        with self._connection() as database:
            key = self._key(database) if key is None else key
            keys = [f"v{self.shared.index(name)}" for name in key] or ["number"]
            named = ", ".join(f"{each} AS k{at}" for at, each in enumerate(keys))
            listed = ", ".join(f"k{at}" for at in range(len(keys)))
            for table, view in (("ka", "a"), ("kb", "b")):
                database.execute(
                    f"CREATE TEMP TABLE {table} AS SELECT number AS row, {named}, "  # noqa: S608  # numbers of columns
                    f"row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY number) AS n FROM {view}"
                )
                database.execute(f"CREATE INDEX temp.{table}_key ON {table} ({listed}, n)")
            on = " AND ".join([*(f"ka.k{at} = kb.k{at}" for at in range(len(keys))), "ka.n = kb.n"])
            values = ["1", *(f"v{at}" for at in range(len(self.shared)))]
            one, other = (", ".join(f"{side}.{each}" if each != "1" else each for each in values) for side in "xy")
            changed = _rows(
                database,
                f"SELECT ka.row, kb.row FROM kb CROSS JOIN ka ON {on} CROSS JOIN a x ON x.number = ka.row "  # noqa: S608
                f"CROSS JOIN b y ON y.number = kb.row WHERE ({one}) IS NOT ({other}) ORDER BY kb.row",
            )
            added = _rows(
                database,
                f"SELECT 0, row FROM kb WHERE NOT EXISTS (SELECT 1 FROM ka WHERE {on}) ORDER BY row",  # noqa: S608
            )
            removed = _rows(
                database,
                f"SELECT row, 0 FROM ka WHERE NOT EXISTS (SELECT 1 FROM kb WHERE {on}) ORDER BY row",  # noqa: S608
            )
            ((repeated,),) = database.execute(
                "SELECT (SELECT COUNT(*) FROM ka WHERE n > 1) + (SELECT COUNT(*) FROM kb WHERE n > 1)"
            )
        same = self.right.shape.rows - len(changed[0]) - len(added[0])
        return _Differences(key, same, repeated, {"changed": changed, "added": added, "removed": removed})

    def _key(self, database: sqlite3.Connection) -> tuple[str, ...]:
        """The fewest of the first common columns whose values are unique in both, judged by their first rows."""
        for count in range(1, min(MOST_KEYS, len(self.shared)) + 1):
            listed = ", ".join(f"v{at}" for at in range(count))
            repeated = [
                database.execute(
                    f"SELECT 1 FROM (SELECT {listed} FROM {view} LIMIT {SAMPLE_ROWS}) GROUP BY {listed} "  # noqa: S608
                    "HAVING COUNT(*) > 1 LIMIT 1"
                ).fetchone()
                for view in "ab"
            ]
            if not any(repeated):
                return self.shared[:count]
        return ()

    def rows(self, places: Sequence[tuple[RowKind, int, int]], columns: tuple[str, ...]) -> tuple[RowDiff, ...]:
        """These rows with their cells."""
        left = self._shown(self.left, [one for _, one, _ in places if one], columns)
        right = self._shown(self.right, [other for _, _, other in places if other], columns)
        marks = self._changed([(one, other) for kind, one, other in places if kind == "changed"])
        return tuple(
            RowDiff(
                kind=kind,
                left_row=one or None,
                right_row=other or None,
                left=left.get(one),
                right=right.get(other),
                changed=marks.get((one, other), ()),
            )
            for kind, one, other in places
        )

    @staticmethod
    def _shown(table: Table, numbers: list[int], columns: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
        own = [name for name in columns if name in set(_Pair.names(table))]
        cells = table.rows(numbers, own)
        found = {}
        for number, row in zip(numbers, cells, strict=True):
            known = dict(zip(own, row, strict=True))
            texts = [known.get(name, "") for name in columns]
            found[number] = tuple(text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…" for text in texts)
        return found

    def _changed(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, ...]]:
        """Which cells of these rows differ."""
        if not pairs or not self.shared:
            return {}
        marks = ", ".join(f"x.v{at} IS NOT y.v{at}" for at in range(len(self.shared)))
        query = f"SELECT {marks} FROM a x, b y WHERE x.number = ? AND y.number = ?"  # noqa: S608  # numbers of columns
        with self._connection() as database:
            return {
                pair: tuple(name for name, differs in zip(self.shared, row, strict=True) if differs)
                for pair in pairs
                for row in database.execute(query, pair)
            }


def _rows(database: sqlite3.Connection, query: str) -> tuple[array[int], array[int]]:
    left, right = array("I"), array("I")
    for one, other in database.execute(query):
        left.append(one)
        right.append(other)
    return left, right
