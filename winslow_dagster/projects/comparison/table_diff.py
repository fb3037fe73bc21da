"""Compares two CSV files row by row: by key columns, or by position. Nothing but hashes is kept of a row."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Literal

from pydantic import BaseModel, ConfigDict

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import nearest
from winslow_dagster.projects.comparison.csv_file import CsvFile, CsvSource

MOST_BYTES = 128 << 20
MOST_ROWS = 1_000_000
"""The rest of a table is not compared, and the view says so."""
MOST_COLUMNS = 200
LONGEST_CELL = 200
SAMPLE_ROWS = 5_000
MOST_KEYS = 3
"""A key is looked for among the first columns that both tables have."""

RowKind = Literal["changed", "added", "removed"]
KINDS: tuple[RowKind, ...] = ("changed", "added", "removed")


class RowDiff(BaseModel):
    """A row that differs. Rows are numbered from 1, without the header; cells are those of the view's `columns`.

    `changed` are the columns whose cells differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RowKind
    left_row: int | None
    right_row: int | None
    left: tuple[str, ...] | None
    right: tuple[str, ...] | None
    changed: tuple[str, ...] = ()


class TableDiff(BaseModel):
    """What differs between two tables, and some of the rows that differ: first the changed, then added, then removed.

    `key` are the columns that tell which rows belong together; without any, rows at the same position do. Rows with an
    equal key are paired in their order. Added are rows and columns that only the right table has. `faults` say why a
    table could not be read, `notes` what was left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    left_rows: int = 0
    right_rows: int = 0
    counts: dict[RowKind, int] = {}
    same: int = 0
    first: int = 1
    rows: tuple[RowDiff, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many rows differ."""
        return sum(self.counts.values())


@dataclass(slots=True)
class RowIndex:
    """The rows of a table: hashes of their keys and of their cells, and where they begin in the file."""

    keys: array[int] = field(default_factory=lambda: array("q"))
    cells: array[int] = field(default_factory=lambda: array("q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    repeated: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Differences:
    """Everything that differs, by row and offset: enough to show any part of it without comparing again."""

    key: tuple[str, ...]
    left_rows: int
    right_rows: int
    same: int
    places: dict[RowKind, tuple[array[int], array[int], array[int], array[int]]]
    """Rows and offsets of the left side, then of the right side. Of a side without the row, the arrays are empty."""
    notes: tuple[str, ...]


def differences(left: CsvSource, right: CsvSource, key: Sequence[str] | None) -> Differences:
    """Compare all rows. Without a `key`, one is looked for. Raises NoTable, and InputRejected for an unknown column."""
    one, other = left.open(MOST_BYTES), right.open(MOST_BYTES)
    shared = tuple(name for name in one.columns if name in set(other.columns))[:MOST_COLUMNS]
    for name in key or ():
        if name not in shared:
            suggestion = nearest(name, set(shared))
            raise InputRejected(
                f"{name!r} is not a column of both tables",
                expected=f"one of {', '.join(shared[:20])}" if shared else "tables with common columns",
                remedy=f"Did you mean {suggestion}?" if suggestion else "",
            )
    chosen = _key_of(left, right, shared) if key is None else tuple(key)
    indexes = [_index(each, shared, chosen) for each in (one, other)]
    return _compared(indexes[0], indexes[1], chosen)


def window(  # noqa: PLR0913, PLR0917  # what is compared, and which part is shown
    path: str,
    sides: tuple[CsvSource, CsvSource],
    found: Differences,
    kinds: Sequence[RowKind],
    first: int,
    count: int,
) -> TableDiff:
    """The rows that differ, from the one numbered `first` on. Raises NoTable."""
    tables = tuple(_cached(side).open(MOST_BYTES) for side in sides)
    names = tuple(dict.fromkeys((*found.key, *tables[0].columns, *tables[1].columns)))
    columns = names[:MOST_COLUMNS]
    notes = found.notes
    if len(names) > len(columns):
        notes += (f"the tables have {len(names)} columns; the first {len(columns)} are shown",)
    counts = {kind: max(len(each) for each in found.places[kind]) for kind in KINDS}
    return TableDiff(
        path=path,
        key=found.key,
        columns=columns,
        columns_added=_without(tables[1], tables[0]),
        columns_removed=_without(tables[0], tables[1]),
        left_rows=found.left_rows,
        right_rows=found.right_rows,
        counts=counts,
        same=found.same,
        first=first,
        rows=tuple(
            _row(tables, columns, kind, found, place)
            for kind, place in islice(_places(found, kinds), first - 1, first - 1 + count)
        ),
        notes=notes,
    )


def _without(table: CsvFile, other: CsvFile) -> tuple[str, ...]:
    """The first columns that the other table does not have."""
    known = set(other.columns)
    return tuple(name for name in table.columns if name not in known)[:MOST_COLUMNS]


def _places(found: Differences, kinds: Sequence[RowKind]) -> Iterator[tuple[RowKind, int]]:
    for kind in KINDS:
        if kind in kinds:
            for place in range(max(len(each) for each in found.places[kind])):
                yield kind, place


def _row(
    tables: tuple[CsvFile, ...], columns: tuple[str, ...], kind: RowKind, found: Differences, place: int
) -> RowDiff:
    left_rows, left_offsets, right_rows, right_offsets = found.places[kind]
    left = _cells(tables[0], left_offsets[place], columns) if left_offsets else None
    right = _cells(tables[1], right_offsets[place], columns) if right_offsets else None
    changed: tuple[str, ...] = ()
    if left is not None and right is not None:
        shared = set(tables[0].columns) & set(tables[1].columns)
        pairs = zip(columns, left, right, strict=True)
        changed = tuple(name for name, one, other in pairs if name in shared and one != other)
    return RowDiff(
        kind=kind,
        left_row=left_rows[place] if left_rows else None,
        right_row=right_rows[place] if right_rows else None,
        left=None if left is None else tuple(_shown(cell) for cell in left),
        right=None if right is None else tuple(_shown(cell) for cell in right),
        changed=changed,
    )


def _cells(table: CsvFile, offset: int, columns: tuple[str, ...]) -> tuple[str, ...]:
    cells = dict(zip(table.columns, table.record_at(offset), strict=False))
    return tuple(cells.get(name, "") for name in columns)


def _shown(cell: str) -> str:
    return cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}…"


def _index(table: CsvFile, shared: tuple[str, ...], key: tuple[str, ...]) -> RowIndex:
    index = RowIndex(cut=table.cut)
    keys, hashes, offsets = index.keys, index.cells, index.offsets
    places = {name: place for place, name in enumerate(table.columns)}
    cells_of, key_of = (_getter([places[name] for name in names], len(places)) for names in (shared, key))
    seen: dict[int, int] = {}
    for number, (offset, row) in enumerate(table.records()):
        if number >= MOST_ROWS:
            index.cut = True
            break
        named = hash(key_of(row)) if key else number
        times = seen.get(named, 0)
        seen[named] = times + 1
        if times:
            index.repeated += 1
            named = hash((named, times))
        keys.append(named)
        hashes.append(hash(cells_of(row)))
        offsets.append(offset)
    return index


def _getter(places: list[int], width: int) -> Callable[[list[str]], Hashable]:
    """The cells at these places; those that a short row lacks are empty."""
    if not places:
        return lambda _row: ()
    get = itemgetter(*places)

    def cells(row: list[str]) -> Hashable:
        found: Hashable = get(row if len(row) >= width else row + [""] * (width - len(row)))
        return found

    return cells


def _compared(left: RowIndex, right: RowIndex, key: tuple[str, ...]) -> Differences:
    places: dict[RowKind, tuple[array[int], array[int], array[int], array[int]]] = {
        kind: (array("q"), array("q"), array("q"), array("q")) for kind in KINDS
    }
    of_left = {named: number for number, named in enumerate(left.keys)}
    same = 0
    for number, named in enumerate(right.keys):
        other = of_left.pop(named, None)
        if other is None:
            _, _, rows, offsets = places["added"]
        elif left.cells[other] == right.cells[number]:
            same += 1
            continue
        else:
            left_rows, left_offsets, rows, offsets = places["changed"]
            left_rows.append(other + 1)
            left_offsets.append(left.offsets[other])
        rows.append(number + 1)
        offsets.append(right.offsets[number])
    rows, offsets, _, _ = places["removed"]
    for number in of_left.values():
        rows.append(number + 1)
        offsets.append(left.offsets[number])
    notes = []
    if left.cut or right.cut:
        notes.append(
            f"only the first {MOST_ROWS:,} rows, or {MOST_BYTES >> 20} MiB, of each table are compared; the others "
            "may appear as added or removed"
        )
    if key and (left.repeated or right.repeated):
        notes.append(
            f"{', '.join(key)} does not identify every row: {left.repeated + right.repeated:,} rows repeat a key, and "
            "are paired in their order"
        )
    return Differences(key, len(left.keys), len(right.keys), same, places, tuple(notes))


def _key_of(left: CsvSource, right: CsvSource, shared: tuple[str, ...]) -> tuple[str, ...]:
    """The fewest of the first common columns whose values are unique in both tables, judged by their first rows."""
    samples = [
        [dict(zip(table.columns, row, strict=False)) for _, row in islice(table.records(), SAMPLE_ROWS)]
        for table in (left.open(MOST_BYTES), right.open(MOST_BYTES))
    ]
    for count in range(1, min(MOST_KEYS, len(shared)) + 1):
        key = shared[:count]
        if all(len({tuple(row.get(name) for name in key) for row in rows}) == len(rows) for rows in samples):
            return key
    return ()


def _cached(source: CsvSource, block_bytes: int = 256 << 10, most_blocks: int = 32) -> CsvSource:
    """The same file, read in blocks that are kept: rows that differ often stand near each other."""
    kept: dict[int, bytes] = {}

    def block(number: int) -> bytes:
        if number not in kept:
            if len(kept) >= most_blocks:
                del kept[next(iter(kept))]
            start = number * block_bytes
            kept[number] = source.read(start, min(block_bytes, source.size_bytes - start))
        return kept[number]

    def read(start: int, length: int) -> bytes:
        end = min(start + length, source.size_bytes)
        content = bytearray()
        for number in range(start // block_bytes, -(-end // block_bytes)):
            begin = number * block_bytes
            content += block(number)[max(0, start - begin) : end - begin]
        return bytes(content)

    return CsvSource(read, source.size_bytes, source.blake3)
