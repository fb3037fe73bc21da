"""Checks a CSV file, row by row: it may be larger than the memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from winslow_dagster.formatting import count_of
from winslow_dagster.pipelines.model.output_checks import CsvCheck, Range
from winslow_dagster.pipelines.problems import nearest, shown
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.stages.checks.findings import CheckFinding, out_of_bounds

LONGEST_LINE = 1 << 20
"""In characters; a file with longer lines is not a table."""


class Unreadable(Exception):
    """The file cannot be read as a table."""


@dataclass(slots=True)
class Column:
    """The state of one column; `fault` is a sentence on its first bad cell, `bad` counts all."""

    name: str
    index: int
    allowed: Range
    least: float = math.inf
    most: float = -math.inf
    fault: str = ""
    bad: int = 0

    def see(self, cell: str, line: int) -> None:
        """Check one cell."""
        fault = self.fault_of(cell.strip(), line)
        if fault:
            self.bad += 1
            self.fault = self.fault or fault

    def fault_of(self, cell: str, line: int) -> str:
        """The sentence on a bad cell; empty for a good one."""
        if not cell:
            return "" if self.allowed.allow_empty else f"{self.name} is empty in line {line}"
        value = parse_finite(cell)
        if value is None:
            return f"{self.name} is {shown(cell)} in line {line}, which is not a number"
        self.least, self.most = min(self.least, value), max(self.most, value)
        outside = out_of_bounds(value, self.allowed.min, self.allowed.max)
        return f"{self.name} is {value:g} in line {line}, {outside}" if outside else ""


@dataclass(slots=True)
class Table:
    """The state of a table."""

    rows: int = 0
    columns: list[Column] = field(default_factory=list)

    def observed(self) -> dict[str, str | float]:
        """The number of rows, and the bounds of the checked columns."""
        seen: dict[str, str | float] = {"rows": self.rows}
        for column in self.columns:
            if column.least <= column.most:
                seen |= {f"{column.name}.min": column.least, f"{column.name}.max": column.most}
        return seen


def check_table(check: CsvCheck, path: Path, name: str) -> CheckFinding:
    """Check the table at `path`; messages call it `name`. Raises OSError."""
    table = Table()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            read(table, check, file)
    except Unreadable as error:
        return CheckFinding(f"{name}: {error}", file=name, observed=table.observed())
    except UnicodeDecodeError:
        return CheckFinding(f"{name} is not UTF-8", file=name, observed=table.observed())
    except csv.Error as error:
        return CheckFinding(
            f"{name} cannot be read after row {table.rows}: {error}", file=name, observed=table.observed()
        )
    faults = [
        column.fault + (f", and {count_of(column.bad - 1, 'more row')}" if column.bad > 1 else "")
        for column in table.columns
        if column.fault
    ]
    rows = out_of_bounds(table.rows, check.min_rows, check.max_rows)
    if rows:
        faults.insert(0, f"{count_of(table.rows, 'row')}, {rows}")
    fault = f"{name}: {'; '.join(faults)}" if faults else ""
    return CheckFinding(fault, f"{name} has {count_of(table.rows, 'row')}", name, table.observed())


def read(table: Table, check: CsvCheck, file: TextIO) -> None:
    """Read all rows. Raises Unreadable, csv.Error, UnicodeDecodeError, OSError."""
    reader = csv.reader(lines(file), delimiter=check.delimiter)
    header = [cell.strip() for cell in next(reader, [])]
    if not header:
        raise Unreadable("the file is empty; expected a header line")
    for name in dict.fromkeys([*check.columns, *check.range]):
        require(name, header)
    table.columns = [Column(column, header.index(column), allowed) for column, allowed in check.range.items()]
    columns, width, rows = table.columns, len(header), 0
    for row in reader:
        if not row:
            continue
        rows += 1
        table.rows = rows
        if len(row) != width:
            raise Unreadable(f"line {reader.line_num} has {count_of(len(row), 'cell')}, the header {width}")
        for column in columns:
            column.see(row[column.index], reader.line_num)


def require(column: str, header: Sequence[str]) -> None:
    """Raise Unreadable unless the header has the column exactly once."""
    count = header.count(column)
    if not count:
        close = nearest(column, header)
        hint = f"; did you mean {close}?" if close else ""
        raise Unreadable(f"the column {shown(column)} is missing{hint}")
    if count > 1:
        raise Unreadable(f"the column {shown(column)} occurs {count} times")


def lines(file: TextIO) -> Iterator[str]:
    """The lines of a file. Raises Unreadable for one that would fill the memory."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise Unreadable(f"line {number} is longer than {LONGEST_LINE} characters")
        yield line
