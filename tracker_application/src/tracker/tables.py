"""Tables with units in their column names: CSV for people, Parquet between stages.

A table never ends with half a row.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import arro3.core as arrow
import numpy as np
from arro3.io import read_parquet, write_csv, write_parquet
from numpy.typing import NDArray

from tracker.errors import InputMissing

Table: TypeAlias = dict[str, NDArray[Any]]
PARQUET = ".parquet"
# At both ends of a Parquet file; before the last one stands the length of the footer in four bytes.
PARQUET_MARK, FOOTER_END_BYTES = b"PAR1", 8
ROWS_AT_ONCE = 1 << 20
# Text columns; all others are numeric, and an empty cell is unknown (NaN).
TEXT_COLUMNS = frozenset({"class", "lane_id", "name", "movement", "source"})
# Integer columns; other numeric columns are measurements.
WHOLE_COLUMNS = frozenset({"frame", "track_id", "vehicle_id", "observed", "visible", "registered"})


def from_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Columns by name, from at least one row."""
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def write_table(path: Path, columns: Mapping[str, Iterable[Any]], *, decimals: int = 3) -> None:
    """Write columns of equal length in the format of the suffix.

    CSV numbers have at most `decimals` decimals, and NaN becomes an empty cell. Parquet keeps full precision.
    """
    whole = path.with_name(path.name + ".part")
    if path.suffix == PARQUET:
        table = arrow.Table.from_pydict({name: _typed(name, values) for name, values in columns.items()})
        write_parquet(table, whole, compression="snappy")
    else:
        write_csv(arrow.Table.from_pydict({name: _cells(values, decimals) for name, values in columns.items()}), whole)
    whole.replace(path)


def _typed(name: str, values: Iterable[Any]) -> arrow.Array:
    """A column of one type: integers, floating-point numbers, or text."""
    if name in TEXT_COLUMNS:
        return arrow.Array([str(value) for value in values], arrow.DataType.string())
    return arrow.Array.from_numpy(np.asarray(list(values), np.int64 if name in WHOLE_COLUMNS else np.float64))


def _cells(values: Iterable[Any], decimals: int) -> arrow.Array:
    """A CSV column: text, integers, or rounded numbers in which unknown ones are missing."""
    column = values if isinstance(values, np.ndarray) else np.asarray(list(values))
    if column.dtype.kind in "OU":
        cells = column.tolist()
        if any(isinstance(cell, str) for cell in cells):
            return arrow.Array(cells, arrow.DataType.string())
        column = np.asarray(cells)
    if column.dtype.kind in "iub":
        return arrow.Array.from_numpy(column.astype(np.int64))
    # Adding zero turns negative zero into zero.
    rounded = np.round(column.astype(np.float64), decimals) + 0.0
    if np.isnan(rounded).any():
        known = [None if value != value else value for value in rounded.tolist()]  # noqa: PLR0124  NaN
        return arrow.Array(known, arrow.DataType.float64())
    return arrow.Array.from_numpy(rounded)


def read_table(path: Path, needed: Sequence[str] = ()) -> Table:
    """Read a table. Raises InputMissing if it lacks one of the `needed` columns."""
    table = _read_parquet(path) if path.suffix == PARQUET else _read_csv(path)
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputMissing(f"{path} has no column {', '.join(missing)}", remedy="It was written by another version")
    return table


def _read_parquet(path: Path) -> Table:
    if not _is_parquet(path):
        raise InputMissing(f"{path} is not a Parquet file", remedy="Redo the stage that wrote it")
    table = read_parquet(path, batch_size=ROWS_AT_ONCE).read_all()
    return {name: _values(name, table[name]) for name in table.column_names}


def _is_parquet(path: Path) -> bool:
    """Whether a file is complete; the reader does not report errors in the footer in a way that could be handled."""
    size_bytes = path.stat().st_size
    if size_bytes < len(PARQUET_MARK) + FOOTER_END_BYTES:
        return False
    with path.open("rb") as file:
        start = file.read(len(PARQUET_MARK))
        file.seek(-FOOTER_END_BYTES, os.SEEK_END)
        end = file.read()
    footer_bytes = int.from_bytes(end[:4], "little")
    return start == end[4:] == PARQUET_MARK and footer_bytes <= size_bytes - len(PARQUET_MARK) - FOOTER_END_BYTES


def _values(name: str, column: arrow.ChunkedArray) -> NDArray[Any]:
    if not column.chunks:
        return np.array([], object if name in TEXT_COLUMNS else np.int64 if name in WHOLE_COLUMNS else np.float64)
    if name in TEXT_COLUMNS:
        # The text may be stored as numbers of entries in a dictionary.
        column = column.cast(arrow.DataType.string())
    return np.concatenate([chunk.to_numpy() for chunk in column.chunks])


def _read_csv(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        rows = list(reader)
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name: _column(name, values) for name, values in zip(names, cells, strict=True)}


def _column(name: str, values: Sequence[str]) -> NDArray[Any]:
    if name in TEXT_COLUMNS:
        return np.array(values, dtype=object)
    if name in WHOLE_COLUMNS:
        return np.array([int(value) for value in values], dtype=np.int64)
    return np.array([float(value) if value else np.nan for value in values], dtype=np.float64)


def select(table: Table, rows: NDArray[Any]) -> Table:
    """Rows of a table, by mask or indices."""
    return {name: values[rows] for name, values in table.items()}


def groups(table: Table, column: str) -> dict[Any, Table]:
    """Rows grouped by the values of a column, in the order of the values; keeps the row order within groups."""
    order = np.argsort(table[column], kind="stable")
    values, starts = np.unique(table[column][order], return_index=True)
    parts = np.split(order, starts[1:])
    return (
        {value: select(table, rows) for value, rows in zip(values.tolist(), parts, strict=True)} if len(order) else {}
    )
