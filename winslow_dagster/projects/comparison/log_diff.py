"""Compares two logs step by step, however long they are: windows of lines, and a limit on the time of each step."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from pydantic import BaseModel, ConfigDict

from winslow_dagster.projects.comparison.edit_script import Match, matches
from winslow_dagster.stages.log import LogLine

WINDOW_LINES = 2_000
"""Lines of each log that are compared at once."""
MOST_EDITS = 500
CONTEXT = 3
MOST_ROWS = 400
STEP_S = 0.5
SHOWN_CHARACTERS = 2_000
COMPARED_CHARACTERS = 4_000

NUMBER = r"\d+(?:[.,]\d+)?"
TIMES = re.compile(
    rf"""
    \b\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|\s?[+-]\d\d:?\d\d)?)?  # a date, and a time
  | \b(?:\d{{1,3}}:)?\d{{1,3}}:\d\d(?:[.,]\d+)?\b                                        # 12:30:01.5, 00:12
  | \b(?:\d{{1,4}}(?:h|m|min)\s?)+(?:{NUMBER}\s?s)?\b                                    # 1h 2min 3s, 1m03s
  | \b{NUMBER}\s?(?:ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?|hours?|h)\b              # 0.35 s
  | \b{NUMBER}\s?(?:it|fps|frames?|rows?|lines?)/s\b | \b{NUMBER}\s?fps\b                # 12.5 it/s
    """,
    re.VERBOSE,
)

RowKind = Literal["same", "removed", "added", "skipped"]
LinesFrom = Callable[[int], Iterator[LogLine]]
"""The lines of a log from a number on, to its present end."""


class LogDiffRow(BaseModel):
    """A line that only one log has, or a line near it that both have. `skipped`: `count` lines that both have.

    `left` and `right` are its numbers, None on the side that lacks it. `more` is how many characters are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RowKind
    left: int | None
    right: int | None
    text: str = ""
    count: int = 1
    more: int = 0


class LogDiff(BaseModel):
    """One step of a comparison. It goes on at `next_left` and `next_right`; both None: both logs end here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[LogDiffRow, ...]
    next_left: int | None
    next_right: int | None
    removed: int = 0
    added: int = 0


class _Side:
    """The next lines of one log, read ahead as far as they are compared."""

    def __init__(self, lines_from: LinesFrom, first: int, *, ignore_times: bool) -> None:
        self._lines = lines_from(first)
        self._ignore_times = ignore_times
        self.lines: deque[LogLine] = deque()
        self.keys: deque[str] = deque()
        self.ended = False
        self._next = first

    @property
    def next_line(self) -> int:
        """Where the comparison goes on. One line stands for those that were dropped from a log."""
        return self.lines[0].number if self.lines else self._next

    def fill(self) -> None:
        found = list(islice(self._lines, WINDOW_LINES - len(self.lines)))
        self.ended = self.ended or len(self.lines) + len(found) < WINDOW_LINES
        self.lines.extend(found)
        self.keys.extend(self._key(line.text) for line in found)

    def take(self) -> LogLine:
        self.keys.popleft()
        line = self.lines.popleft()
        self._next = line.number + 1
        return line

    def _key(self, text: str) -> str:
        if not self._ignore_times:
            return text
        return TIMES.sub("⏲", text[:COMPARED_CHARACTERS]) + text[COMPARED_CHARACTERS:]


class _Rows:
    """The rows of a step. Lines that both logs have are kept only near others."""

    def __init__(self) -> None:
        self.found: list[LogDiffRow] = []
        self.removed = self.added = 0
        self._after = 0  # how many more equal lines are shown after a difference
        self._held: deque[LogDiffRow] = deque()
        self._skipped: tuple[int, int, int] | None = None  # the first numbers, and how many

    def same(self, left: LogLine, right: LogLine) -> None:
        row = _row("same", left.number, right.number, left.text)
        if self._after:
            self._after -= 1
            self.found.append(row)
            return
        self._held.append(row)
        if len(self._held) > CONTEXT:
            self._skip(self._held.popleft())

    def differs(self, kind: Literal["removed", "added"], line: LogLine) -> None:
        self._flush()
        self.found += self._held
        self._held.clear()
        self._after = CONTEXT
        if kind == "removed":
            self.removed += 1
            self.found.append(_row(kind, line.number, None, line.text))
        else:
            self.added += 1
            self.found.append(_row(kind, None, line.number, line.text))

    def end(self) -> tuple[LogDiffRow, ...]:
        for row in self._held:
            self._skip(row)
        self._held.clear()
        self._flush()
        return tuple(self.found)

    def _skip(self, row: LogDiffRow) -> None:
        left, right, count = self._skipped or (row.left or 0, row.right or 0, 0)
        self._skipped = (left, right, count + 1)

    def _flush(self) -> None:
        if self._skipped is not None:
            left, right, count = self._skipped
            self.found.append(LogDiffRow(kind="skipped", left=left, right=right, count=count))
            self._skipped = None


def log_diff(  # noqa: PLR0913  # where it begins, and how it is done, by name
    left: LinesFrom,
    right: LinesFrom,
    *,
    first_left: int = 1,
    first_right: int = 1,
    ignore_times: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> LogDiff:
    """Compare from these lines on, until there is a page of rows or half a second has passed.

    Lines whose times and durations alone differ are equal with `ignore_times`; the left one is shown.
    """
    sides = (
        _Side(left, first_left, ignore_times=ignore_times),
        _Side(right, first_right, ignore_times=ignore_times),
    )
    rows = _Rows()
    until = clock() + STEP_S
    ended = False
    while len(rows.found) < MOST_ROWS:
        for side in sides:
            side.fill()
        if not any(side.lines for side in sides):
            ended = True
            break
        _advance(*sides, rows)
        if clock() >= until:
            break
    one, other = sides
    return LogDiff(
        rows=rows.end(),
        next_left=None if ended else one.next_line,
        next_right=None if ended else other.next_line,
        removed=rows.removed,
        added=rows.added,
    )


def _advance(left: _Side, right: _Side, rows: _Rows) -> None:
    """Compare what has been read ahead, as far as it is certain which lines belong together."""
    equal = next(
        (place for place, (one, other) in enumerate(zip(left.keys, right.keys, strict=False)) if one != other),
        min(len(left.keys), len(right.keys)),
    )
    for _ in range(equal):
        rows.same(left.take(), right.take())
    if equal:
        return
    found, complete = matches(tuple(left.keys), tuple(right.keys), MOST_EDITS)
    if not found or (complete and left.ended and right.ended):
        found.append(Match(len(left.keys), len(right.keys), 0))
    # What stands behind the last equal part may have its equal in lines that have not been read yet.
    _write(left, right, found, rows)


def _write(left: _Side, right: _Side, found: list[Match], rows: _Rows) -> None:
    at_left = at_right = 0
    for match in found:
        while at_left < match.left and len(rows.found) < MOST_ROWS:
            rows.differs("removed", left.take())
            at_left += 1
        while at_right < match.right and len(rows.found) < MOST_ROWS:
            rows.differs("added", right.take())
            at_right += 1
        if (at_left, at_right) != (match.left, match.right):
            return
        for _ in range(match.length):
            rows.same(left.take(), right.take())
        at_left, at_right = at_left + match.length, at_right + match.length


def _row(kind: RowKind, left: int | None, right: int | None, text: str) -> LogDiffRow:
    shown = text[:SHOWN_CHARACTERS]
    return LogDiffRow(kind=kind, left=left, right=right, text=shown, more=len(text) - len(shown))
