"""Tables with units in their column names: CSV for people, Parquet between stages.

A table never ends with half a row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tracker.errors import InputMissing

Table: TypeAlias = dict[str, NDArray[Any]]
PARQUET = ".parquet"
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
        pq.write_table(pa.table({name: _typed(name, values) for name, values in columns.items()}), whole)
    else:
        ready = [_cells(values, decimals) for values in columns.values()]
        with whole.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*ready, strict=True))
    whole.replace(path)


def _typed(name: str, values: Iterable[Any]) -> pa.Array:
    """A column of one type: integers, or dictionary-encoded text."""
    if name in TEXT_COLUMNS:
        return pa.array([str(value) for value in values], pa.string()).dictionary_encode()
    return pa.array(np.asarray(list(values), np.int64 if name in WHOLE_COLUMNS else np.float64))


def _cells(values: Iterable[Any], decimals: int) -> list[Any]:
    """A CSV column; Arrow formats numbers much faster than Python."""
    column = values if isinstance(values, np.ndarray) else np.array(list(values), dtype=object)
    if column.dtype.kind == "f":
        # Adding zero turns negative zero into zero.
        rounded = np.round(column.astype(np.float64), decimals) + 0.0
        return cast("list[Any]", pa.array(rounded, from_pandas=True).cast(pa.string()).fill_null("").to_pylist())
    if column.dtype.kind in "iub":
        return cast("list[Any]", column.astype(np.int64).tolist())
    return [value if isinstance(value, str) else _cells(np.array([value]), decimals)[0] for value in column.tolist()]


def read_table(path: Path, needed: Sequence[str] = ()) -> Table:
    """Read a table. Raises InputMissing if it lacks one of the `needed` columns."""
    table = _read_parquet(path) if path.suffix == PARQUET else _read_csv(path)
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputMissing(f"{path} has no column {', '.join(missing)}", remedy="It was written by another version")
    return table


def _read_parquet(path: Path) -> Table:
    try:
        # Read into memory: a mapped file cannot be replaced while it is being read.
        whole = pq.read_table(pa.py_buffer(path.read_bytes()))
    except pa.ArrowInvalid as error:
        raise InputMissing(f"{path} is not a Parquet file ({error})", remedy="Redo the stage that wrote it") from error
    columns = {name: whole[name].to_numpy(zero_copy_only=False) for name in whole.column_names}
    return {name: values.astype(object) if name in TEXT_COLUMNS else values.copy() for name, values in columns.items()}


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
