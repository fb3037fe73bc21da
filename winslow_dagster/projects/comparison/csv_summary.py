"""Summarizes a CSV file by column, in one pass, without loading it whole."""

from __future__ import annotations

import csv
import math
import statistics
from array import array
from collections.abc import Callable, Iterator
from itertools import chain, islice

from pydantic import BaseModel, ConfigDict

from winslow_dagster.pipelines.units import parse_finite, parse_number

MOST_BYTES = 16 << 20
"""About 200,000 rows of ten columns. The rest of a file is not read, and `cut` is set."""
MOST_COLUMNS = 200
PART_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 20
DELIMITERS = ",;\t|"

ReadPart = Callable[[int, int], bytes]
"""Reads a number of bytes from an offset, fewer at the end of the file."""


class ColumnFacts(BaseModel):
    """A column of numbers. `count` is the number of cells that are not empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    mean: float
    median: float
    min: float
    max: float


class TableFacts(BaseModel):
    """`rows` without the header. A table whose first row has a number in it has none: its columns are `column 1`, ….

    `cut`: only the first `read_bytes` were read and summarized.

    `fault` is why the file could not be read as a table; it then has no rows and no columns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    read_bytes: int = 0
    cut: bool = False
    rows: int = 0
    columns: tuple[str, ...] = ()
    numeric: dict[str, ColumnFacts] = {}
    fault: str = ""


def table_facts(read: ReadPart, size_bytes: int, most_bytes: int = MOST_BYTES) -> TableFacts:
    """Summarize a file of that size. Raises what `read` raises."""
    read_bytes = min(size_bytes, most_bytes)
    cut = read_bytes < size_bytes
    seen = TableFacts(size_bytes=size_bytes, read_bytes=read_bytes, cut=cut)
    try:
        lines = _lines(read, read_bytes)
        first = next(lines, "")
        delimiter = max(DELIMITERS, key=first.count)
        rows = csv.reader(chain([first] if first else [], lines), delimiter=delimiter)
        header = next(rows, [])
        records: Iterator[list[str]] = rows
        if any(parse_finite(cell.strip()) is not None for cell in header):
            # No name is a number: the table has no header, and its first row is data.
            records, header = chain([header], rows), [""] * len(header)
        columns = _names(header)
        numbers = _Numbers(len(columns))
        # The last record that was read may be incomplete.
        for row in _all_but_last(records) if cut else records:
            if row:
                numbers.take(row)
    except (_NoText, csv.Error) as error:
        return seen.model_copy(update={"fault": f"cannot be read as a table: {error}"})
    numeric = {name: facts for name, facts in zip(columns, numbers.facts(), strict=False) if facts is not None}
    return seen.model_copy(update={"rows": numbers.rows, "columns": columns, "numeric": numeric})


class _NoText(ValueError):
    pass


class _Numbers:
    """The numbers of each column; none for a column with text in it."""

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self._columns: list[array[float] | None] = [array("d") for _ in range(min(columns, MOST_COLUMNS))]

    def take(self, row: list[str]) -> None:
        self.rows += 1
        for index, cell in enumerate(islice(row, len(self._columns))):
            column = self._columns[index]
            text = cell.strip()
            if column is None or not text:
                continue
            number = parse_number(text)
            if number is None:
                self._columns[index] = None
            elif math.isfinite(number):
                column.append(number)

    def facts(self) -> Iterator[ColumnFacts | None]:
        for column in self._columns:
            yield _facts(column) if column else None


def _facts(column: array[float]) -> ColumnFacts:
    ordered = sorted(column)
    return ColumnFacts(
        count=len(ordered),
        mean=_mean(ordered),
        median=_mean(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]),
        min=ordered[0],
        max=ordered[-1],
    )


def _mean(ordered: list[float]) -> float:
    """The mean of sorted numbers, never outside of them."""
    try:
        mean = math.fsum(ordered) / len(ordered)
    except OverflowError:
        # Their sum is beyond all floats. This one calculates in fractions, a hundred times slower.
        mean = statistics.mean(ordered)
    return min(max(mean, ordered[0]), ordered[-1])


def _lines(read: ReadPart, size_bytes: int) -> Iterator[str]:
    """Decoded lines with their line ends. Their length is limited, so that a file without any does not fill memory."""
    rest, at, encoding = b"", 0, "utf-8-sig"
    while at < size_bytes:
        part = read(at, min(PART_BYTES, size_bytes - at))
        if not part:
            break
        at += len(part)
        if b"\0" in part:
            raise _NoText("not a text file")
        *whole, rest = (rest + part).splitlines(keepends=True) or [b""]
        if len(rest) > LONGEST_LINE_BYTES:
            raise _NoText(f"a line is longer than {LONGEST_LINE_BYTES} bytes")
        for line in whole:
            yield line.decode(encoding, errors="replace")
            encoding = "utf-8"
    if rest:
        yield rest.decode(encoding, errors="replace")


def _names(header: list[str]) -> tuple[str, ...]:
    """Unique column names: a second `x` becomes `x (2)`."""
    seen: dict[str, int] = {}
    names: list[str] = []
    for index, cell in enumerate(header, 1):
        name = cell.strip() or f"column {index}"
        seen[name] = seen.get(name, 0) + 1
        while (unique := name if seen[name] == 1 else f"{name} ({seen[name]})") in names:
            seen[name] += 1
        names.append(unique)
    return tuple(names)


def _all_but_last(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    held: list[str] | None = None
    for row in rows:
        if held is not None:
            yield held
        held = row
