"""Rows of a CSV file, whatever it contains. The length of lines and cells is limited, so that no file fills memory."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, TextIO

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines.units import parse_finite

DELIMITERS = ",;\t|"
LOOK_BYTES = 1 << 20
LOOK_ROWS = 1000
LONGEST_LINE = 1 << 20
LONGEST_CELL = 1 << 20
QUOTED = re.compile(r'"(?:[^"]|"")*"')
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the text of a file is encoded, and what separates its cells."""

    encoding: str
    delimiter: str


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The names of the columns, and the rows without them. Raises InputRejected as far as the rows are read."""

    header: tuple[str, ...]
    rows: Iterator[list[str]]
    dialect: Dialect


def dialect_of(start: bytes, *, whole: bool) -> Dialect:
    """The dialect of a file that begins like this. Raises InputRejected for what is not a text."""
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if start.startswith(mark)), "")
    if not encoding:
        if b"\0" in start:
            raise InputRejected("it is not a text file: it contains zero bytes", expected="a table as text")
        encoding = "utf-8" if _is_utf8(start, whole=whole) else "cp1252"
    text = start.decode(encoding, "replace")
    first = QUOTED.sub("", text[:LONGEST_LINE]).lstrip("\r\n").splitlines()[:1]
    return Dialect(encoding, max(DELIMITERS, key=first[0].count) if first else ",")


def read_csv(file: BinaryIO) -> CsvTable:
    """The table in a file that is read from its beginning. Raises InputRejected, MemoryError, OSError."""
    start = file.read(LOOK_BYTES)
    dialect = dialect_of(start, whole=len(start) < LOOK_BYTES)
    text = io.TextIOWrapper(io.BufferedReader(_Rejoined(start, file)), dialect.encoding, "replace", newline="")
    rows = _rows(text, dialect.delimiter)
    looked = list(islice(rows, LOOK_ROWS))
    width = max(map(len, looked), default=0)
    header = looked[0] if looked else []
    if any(parse_finite(cell.strip()) is not None for cell in header):
        # No name is a number: the table has no header, and its first row is data.
        header = []
    else:
        looked = looked[1:]
    names = unique_names([*header, *[""] * (width - len(header))])
    return CsvTable(names, chain(looked, rows), dialect)


def unique_names(header: list[str]) -> tuple[str, ...]:
    """Unique column names: a second `x` becomes `x (2)`, and one without a name `column 3`."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    names: list[str] = []
    for index, cell in enumerate(header, 1):
        name = cell.strip() or f"column {index}"
        counts[name] = counts.get(name, 0) + 1
        while (unique := name if counts[name] == 1 else f"{name} ({counts[name]})") in taken:
            counts[name] += 1
        taken.add(unique)
        names.append(unique)
    return tuple(names)


def _is_utf8(start: bytes, *, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _rows(text: TextIO, delimiter: str) -> Iterator[list[str]]:
    """Rows that are not empty."""
    reader = csv.reader(_lines(text), delimiter=delimiter)
    # Of the whole process, of which others read CSV files, too.
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        for row in reader:
            if row:
                yield row
    except csv.Error as error:
        raise InputRejected(f"line {reader.line_num} cannot be read: {error}", expected="a table as text") from error
    except UnicodeError as error:
        raise InputRejected(f"after line {reader.line_num} it is not a text: {error}") from error
    finally:
        csv.field_size_limit(before)


def _lines(text: TextIO) -> Iterator[str]:
    number = 0
    while line := text.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise InputRejected(f"line {number} is longer than {LONGEST_LINE:,} characters", expected="a table")
        if "\0" in line:
            raise InputRejected(f"line {number} contains a zero byte: it is not a text file", expected="a table")
        yield line


class _Rejoined(io.RawIOBase):
    """What was read of a file, and then the rest of it."""

    def __init__(self, start: bytes, file: BinaryIO) -> None:
        super().__init__()
        self._start = io.BytesIO(start)
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer is one
        part = self._start.read(len(buffer)) or self._file.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)
