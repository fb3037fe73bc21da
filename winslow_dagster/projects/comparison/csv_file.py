"""Reads a CSV file in one pass, part by part, and tells where each of its records begins."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from winslow_dagster.pipelines.units import parse_finite

PART_BYTES = 1 << 20
RECORD_BYTES = 16 << 10
LONGEST_LINE_BYTES = 1 << 20
DELIMITERS = ",;\t|"

ReadPart = Callable[[int, int], bytes]
"""Reads a number of bytes from an offset, fewer at the end of the file."""


class NoTable(ValueError):
    """The file cannot be read as a table. The text is the reason."""


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A file: how it is read, how large it is, and a hash of its content."""

    read: ReadPart
    size_bytes: int
    blake3: str

    def open(self, most_bytes: int) -> CsvFile:
        """From its first row, as far as that limit. Raises NoTable."""
        return CsvFile(self.read, self.size_bytes, most_bytes)


class CsvFile:
    """The columns of a file, and its records from the first. Raises NoTable, and what `read` raises.

    A file whose first row has a number in it has no header: its columns are `column 1`, …. Only the first `most_bytes`
    are read; `cut` says whether there are more.
    """

    def __init__(self, read: ReadPart, size_bytes: int, most_bytes: int) -> None:
        self._read = read
        self.read_bytes = min(size_bytes, most_bytes)
        self.cut = self.read_bytes < size_bytes
        self._lines = _Lines(read, self.read_bytes)
        first = next(self._lines, "")
        self.delimiter = max(DELIMITERS, key=first.count)
        self._reader = csv.reader(chain([first] if first else [], self._lines), delimiter=self.delimiter)
        header = self._next() or []
        self._first_record: list[str] | None = None
        if any(parse_finite(cell.strip()) is not None for cell in header):
            # No name is a number: the table has no header, and its first row is data.
            self._first_record, header = header, [""] * len(header)
        self.columns = _names(header)

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """The offset and the cells of each record that is not empty; of a cut file, without the last, torn one."""
        held: tuple[int, list[str]] | None = None
        at, row = 0, self._first_record
        if row is None:
            at, row = self._lines.offset, self._next()
        while row is not None:
            if row:
                if held is not None:
                    yield held
                held = at, row
            at, row = self._lines.offset, self._next()
        if held is not None and not self.cut:
            yield held

    def record_at(self, offset: int) -> list[str]:
        """The record that begins there."""
        lines = _Lines(self._read, self.read_bytes, offset, RECORD_BYTES)
        try:
            return next(csv.reader(lines, delimiter=self.delimiter), [])
        except csv.Error as error:
            raise NoTable(str(error)) from error

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise NoTable(str(error)) from error


class _Lines:
    """Decoded lines with their line ends. Their length is limited, so that a file without any does not fill memory."""

    def __init__(self, read: ReadPart, end: int, offset: int = 0, part_bytes: int = PART_BYTES) -> None:
        self.offset = offset
        """Where the next line begins."""
        self._lines = self._parts(read, end, offset, part_bytes)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        encoding = "utf-8-sig" if self.offset == 0 else "utf-8"
        self.offset += len(line)
        return line.decode(encoding, errors="replace")

    @staticmethod
    def _parts(read: ReadPart, end: int, at: int, part_bytes: int) -> Iterator[bytes]:
        rest = b""
        while at < end:
            part = read(at, min(part_bytes, end - at))
            if not part:
                break
            at += len(part)
            if b"\0" in part:
                raise NoTable("not a text file")
            *whole, rest = (rest + part).splitlines(keepends=True) or [b""]
            if len(rest) > LONGEST_LINE_BYTES:
                raise NoTable(f"a line is longer than {LONGEST_LINE_BYTES} bytes")
            yield from whole
        if rest:
            yield rest


def _names(header: list[str]) -> tuple[str, ...]:
    """Unique column names: a second `x` becomes `x (2)`."""
    seen: dict[str, int] = {}
    names: dict[str, None] = {}
    for index, cell in enumerate(header, 1):
        name = cell.strip() or f"column {index}"
        seen[name] = seen.get(name, 0) + 1
        while (unique := name if seen[name] == 1 else f"{name} ({seen[name]})") in names:
            seen[name] += 1
        names[unique] = None
    return tuple(names)
