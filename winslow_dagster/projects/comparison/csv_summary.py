"""Summarizes a CSV file by column, in one pass, without loading it whole."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Iterator
from itertools import islice

from pydantic import BaseModel, ConfigDict

from winslow_dagster.pipelines.units import parse_number
from winslow_dagster.projects.comparison.csv_file import CsvFile, NoTable, ReadPart

MOST_BYTES = 16 << 20
"""About 200,000 rows of ten columns. The rest of a file is not read, and `cut` is set."""
MOST_COLUMNS = 200


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
        table = CsvFile(read, size_bytes, most_bytes)
        columns = table.columns
        numbers = _Numbers(len(columns))
        for _, row in table.records():
            numbers.take(row)
    except NoTable as error:
        return seen.model_copy(update={"fault": f"cannot be read as a table: {error}"})
    numeric = {name: facts for name, facts in zip(columns, numbers.facts(), strict=False) if facts is not None}
    return seen.model_copy(update={"rows": numbers.rows, "columns": columns, "numeric": numeric})


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
