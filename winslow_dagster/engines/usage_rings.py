"""Rings of samples in files of fixed size: every second for an hour, and means of longer steps for up to a year.

The place of a row follows from its time, so that a writer that was killed leaves nothing to repair. A row is its time
as a whole number of seconds, and one number for each field; what is not known is NaN.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

Span = Literal["1h", "24h", "7d", "1y"]
SPANS: tuple[Span, ...] = get_args(Span)


@dataclass(frozen=True, slots=True)
class Level:
    """One ring: how far apart its rows are, how many it has, and how often the row of the present is written."""

    span: Span
    step_s: int
    rows: int
    saved_every_s: int


LEVELS = (
    Level("1h", 1, 3600, 1),
    Level("24h", 15, 5760, 15),
    Level("7d", 120, 5040, 15),
    Level("1y", 3600, 8784, 120),
)
BY_SPAN = {level.span: level for level in LEVELS}

Row = tuple[float, ...]


@dataclass(slots=True)
class _Mean:
    """The running mean of one step."""

    step: int = -1
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, step: int, values: Sequence[float]) -> None:
        if step != self.step:
            self.step, self.sums, self.counts = step, [0.0] * len(values), [0] * len(values)
        for index, value in enumerate(values):
            if not math.isnan(value):
                self.sums[index] += value
                self.counts[index] += 1

    def values(self) -> list[float]:
        return [total / count if count else math.nan for total, count in zip(self.sums, self.counts, strict=True)]


class RingWriter:
    """Writes one series into its rings. Only one writer at a time. Keeps no file open: a cluster has many series."""

    def __init__(self, directory: Path, series: str, fields: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._row = _row(fields)
        self._files = [path_of(directory, series, level) for level in LEVELS]
        self._means = [_Mean() for _ in LEVELS]

    def write(self, at_s: int, values: Sequence[float]) -> None:
        """Add the sample of a second."""
        for place, (level, mean) in enumerate(zip(LEVELS, self._means, strict=True)):
            step = at_s // level.step_s
            if mean.step not in {-1, step}:
                self._put(place, mean)
            mean.add(step, values)
            if at_s % level.saved_every_s == 0:
                # Already now, so that a stop does not lose an hour.
                self._put(place, mean)

    def _put(self, place: int, mean: _Mean) -> None:
        level = LEVELS[place]
        row = self._row.pack(mean.step * level.step_s, *mean.values())
        file = os.open(self._files[place], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, row, mean.step % level.rows * self._row.size)
        finally:
            os.close(file)


def read_rings(directory: Path, series: str, fields: int, span: Span, between_s: tuple[float, float]) -> dict[int, Row]:
    """Time -> values, of the rows between these times, in their order. Nothing if there are no such files."""
    since_s, until_s = between_s
    content = b""
    with suppress(FileNotFoundError):
        content = path_of(directory, series, BY_SPAN[span]).read_bytes()
    row = _row(fields)
    rows = row.iter_unpack(content[: len(content) - len(content) % row.size])
    # A row that was never written has the time 0.
    return dict(sorted((int(at_s), tuple(values)) for at_s, *values in rows if at_s and since_s <= at_s <= until_s))


def last_row(directory: Path, series: str, fields: int, now_s: float, max_age_s: int) -> Row | None:
    """The newest sample, if it is not older than this."""
    row, level = _row(fields), LEVELS[0]
    with suppress(FileNotFoundError), path_of(directory, series, level).open("rb") as file:
        for at_s in range(int(now_s), int(now_s) - max_age_s, -1):
            content = os.pread(file.fileno(), row.size, at_s % level.rows * row.size)
            if len(content) == row.size and row.unpack(content)[0] == at_s:
                return row.unpack(content)[1:]
    return None


def path_of(directory: Path, series: str, level: Level) -> Path:
    """The file of one ring."""
    return directory / f"{series}.{level.span}"


def _row(fields: int) -> struct.Struct:
    return struct.Struct(f"<Q{fields}f")
