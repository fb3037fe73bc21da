"""A log as a page shows it: windows of its lines, and lines that were found."""

from __future__ import annotations

from dataclasses import dataclass

from winslow_dagster.stages.log import Stream
from winslow_dagster.stages.log.density import Level


@dataclass(frozen=True, slots=True)
class LogShape:
    """How long a log is: lines are numbered from 1 to `lines`. `ended`: nothing will be added.

    Lines from `omitted_first` to `omitted_last` were dropped to keep the log within its size limit; one line of the
    stream `winslow` stands for them. Both are 0 if nothing was dropped.
    """

    lines: int
    ended: bool
    omitted_first: int = 0
    omitted_last: int = 0


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One line. `at` is RFC 3339 with nanoseconds, `level` what the stage's rules make of the line, empty for nothing.

    `more` is how many characters of a very long line are not in `text`.
    """

    number: int
    at: str
    stream: Stream
    level: Level | None
    text: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class LogLines:
    """Part of a log, and how long the whole log is now."""

    lines: tuple[ShownLine, ...]
    shape: LogShape


@dataclass(frozen=True, slots=True)
class FoundPart:
    """Matching lines in order. `next_line` is where to search on; None: nothing is left in that direction."""

    lines: tuple[ShownLine, ...]
    next_line: int | None
