"""Reads a table from a file into a database, as a process of its own with limits: the file may be anything.

`python -m winslow_dagster.tables.read_file KIND SOURCE TARGET` prints one JSON object per line: how far it is, and at
the end `done`, or `fault`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from winslow_dagster.errors import InputRejected
from winslow_dagster.tables.column_facts import ColumnFacts
from winslow_dagster.tables.csv_rows import read_csv, unique_names
from winslow_dagster.tables.geojson_rows import HEADER, read_geojson
from winslow_dagster.tables.model import TableShape
from winslow_dagster.tables.parquet_rows import read_parquet

PR_SET_PDEATHSIG = 1
MEMORY_BYTES = 2 << 30
PROCESSOR_S = 900
TARGET_BYTES = 8 << 30
ROWS_MOST = 20_000_000
COLUMNS_MOST = 1000
LONGEST_CELL = 32 << 10
LONGEST_SHAPE = 4 << 20
ROWS_AT_ONCE = 5000
SAY_EVERY_S = 0.3


def main() -> None:
    """Read the file. It ends with its parent."""
    kind, source, target = sys.argv[1:]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (TARGET_BYTES, TARGET_BYTES))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.nice(5)
    try:
        _read(kind, Path(source), Path(target))
    except InputRejected as error:
        _say(fault=str(error))
    except MemoryError:
        _say(fault=f"reading it takes more than {MEMORY_BYTES >> 30} GiB of memory")
    except sqlite3.Error as error:
        _say(fault=f"it cannot be kept as a table: {error}")
    except OSError as error:
        _say(fault=f"it cannot be read: {error.strerror or error}")
    except BaseException as error:  # noqa: BLE001  # a reader in another language raises what is no Exception
        _say(fault=f"it cannot be read as a table ({type(error).__name__}: {str(error)[:300]})")


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201  # the protocol with the parent


def _read(kind: str, source: Path, target: Path) -> None:
    size_bytes = max(1, source.stat().st_size)
    with source.open("rb") as file:
        commas = False
        notes: list[str] = []
        if kind == "parquet":
            header, rows = read_parquet(source)
        elif kind == "geojson":
            header, rows = HEADER, read_geojson(file)
        else:
            table = read_csv(file)
            header, rows = table.header, table.rows
            commas = table.dialect.delimiter != ","
            if table.dialect.encoding == "cp1252":
                notes.append("The text is not UTF-8; it is read as Windows-1252.")
        if len(header) > COLUMNS_MOST:
            notes.append(f"Only the first {COLUMNS_MOST:,} of {len(header):,} columns are shown.")
        columns = unique_names(list(header[:COLUMNS_MOST])) or ("column 1",)
        facts = [ColumnFacts(name, may_have_commas=commas) for name in columns]
        trimmed = _Trimmed(len(columns), LONGEST_SHAPE if kind == "geojson" else LONGEST_CELL)
        count = _store(facts, rows, target, trimmed, lambda: min(1.0, file.tell() / size_bytes))
        if count == ROWS_MOST and next(rows, None) is not None:
            notes.append(f"Only the first {ROWS_MOST:,} rows are shown.")
    shape = TableShape(rows=count, columns=tuple(each.column() for each in facts), notes=(*notes, *trimmed.notes()))
    with contextlib.closing(sqlite3.connect(target)) as database, database:
        database.execute("CREATE TABLE facts (shape TEXT)")
        database.execute("INSERT INTO facts VALUES (?)", (shape.model_dump_json(),))
    _say(done=True)


class _Trimmed:
    """Makes rows as wide as the table, and counts what is cut off."""

    def __init__(self, width: int, longest: int) -> None:
        self._width, self._longest = width, longest
        self._cut_cells = self._wide_rows = 0

    def __call__(self, row: list[Any]) -> list[Any]:
        if len(row) != self._width:
            self._wide_rows += len(row) > self._width
            row = [*row[: self._width], *[None] * (self._width - len(row))]
        for at, cell in enumerate(row):
            if type(cell) is str and len(cell) > self._longest:
                row[at] = f"{cell[: self._longest]}…"
                self._cut_cells += 1
        return row

    def notes(self) -> Iterator[str]:
        """What was cut off, in sentences."""
        if self._cut_cells:
            yield f"{self._cut_cells:,} cells are longer than {self._longest:,} characters and are cut."
        if self._wide_rows:
            yield f"{self._wide_rows:,} rows have more cells than there are columns; these cells are not shown."


def _store(
    facts: Sequence[ColumnFacts],
    rows: Iterator[list[Any]],
    target: Path,
    trimmed: Callable[[list[Any]], list[Any]],
    share: Callable[[], float],
) -> int:
    """Returns the number of rows."""
    count, said_s = 0, time.monotonic()
    insert = f"INSERT INTO cells VALUES ({', '.join('?' * len(facts))})"  # noqa: S608  # question marks only
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as database:
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;")
        database.execute(f"CREATE TABLE cells ({', '.join(f'c{index}' for index in range(len(facts)))})")
        database.execute("BEGIN")
        while batch := [trimmed(row) for row in islice(rows, min(ROWS_AT_ONCE, ROWS_MOST - count))]:
            for column, cells in zip(facts, zip(*batch, strict=True), strict=True):
                column.take(cells)
            database.executemany(insert, batch)
            count += len(batch)
            if time.monotonic() - said_s > SAY_EVERY_S:
                said_s = time.monotonic()
                _say(rows=count, share=share())
        database.execute("COMMIT")
    return count


if __name__ == "__main__":
    main()
