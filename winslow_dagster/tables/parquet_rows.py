"""Rows of a Parquet file, batch by batch. Only for a process with limits: the reader trusts what it reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from winslow_dagster.errors import InputRejected

MARK, END_BYTES = b"PAR1", 8
ROWS_AT_ONCE = 4096
LONGEST_BYTES = 64


def read_parquet(path: Path) -> tuple[tuple[str, ...], Iterator[list[Any]]]:
    """The names of the columns, and the rows. Raises InputRejected, and what the reader raises."""
    from arro3.io import read_parquet as read

    _require_whole(path)
    reader = read(path, batch_size=ROWS_AT_ONCE)
    names = tuple(reader.schema.names)

    def rows() -> Iterator[list[Any]]:
        for batch in reader:
            columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
            yield from map(list, zip(*columns, strict=True))

    return names, rows()


def _require_whole(path: Path) -> None:
    """The reader does not report errors in the footer in a way that could be handled."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(MARK))
        file.seek(max(0, size_bytes - END_BYTES), os.SEEK_SET)
        end = file.read(END_BYTES)
    footer_bytes = int.from_bytes(end[:4], "little")
    if not (start == end[4:] == MARK and footer_bytes <= size_bytes - len(MARK) - END_BYTES):
        raise InputRejected("it is not a complete Parquet file", expected="a file that begins and ends with PAR1")


def _cell(value: Any) -> Any:  # noqa: PLR0911  # one per type
    match value:
        case None | str() | float():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case bytes():
            return f"0x{value[:LONGEST_BYTES].hex()}{'…' if len(value) > LONGEST_BYTES else ''}"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case list() | dict():
            return json.dumps(value, default=str, ensure_ascii=False)
        case _:
            return str(value)
