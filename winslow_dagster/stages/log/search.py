"""Searches a log by text, level, source and time, for a bounded time at a stretch."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.pipelines.patterns import escaped
from winslow_dagster.stages.log.assembly import LINE_LIMIT_BYTES
from winslow_dagster.stages.log.cursor import Block, Cursor
from winslow_dagster.stages.log.density import Level
from winslow_dagster.stages.log.finder import LineFinder
from winslow_dagster.stages.log.lines import LETTER, LETTERS, STAMP_BYTES, TEXT_OFFSET, LogLine, Stream, parsed, stamp
from winslow_dagster.stages.log.patterns import scannable
from winslow_dagster.stages.log.reader import LogReader
from winslow_dagster.stages.log.resume import SLACK_NS
from winslow_dagster.stages.log.segments import segments

WHOLE_LINE_BYTES: Final = LINE_LIMIT_BYTES + 256
"""A stored line at its longest, with the note that it was cut."""

NUMBERS_KEPT: Final = 2_000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines are wanted; every condition must hold, and an empty one always does.

    `text` is found in a line as it is, without regard to case unless it has a capital letter; with `regex`, it is a
    regular expression in RE2 syntax. `since_ns` and `until_ns` are nanoseconds since 1970, both included.
    """

    text: str = ""
    regex: bool = False
    level: Level | None = None
    stream: Stream | None = None
    since_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FoundLines:
    """Matching lines in order. `next_line` is where to search on; None: the end, or the beginning, was reached."""

    lines: tuple[LogLine, ...]
    next_line: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many lines match in a part of the log. `next_line` is where to count on; None: the end was reached.

    `bins` counts them by ranges of `width` lines: number of the range, from 0 -> count. `numbers` are those of the
    matching lines, up to the first 2,000 of this part.
    """

    count: int
    width: int
    bins: dict[int, int]
    numbers: tuple[int, ...]
    next_line: int | None


class LogSearch:
    """One query of one log. Raises PipelineInvalid for a malformed expression."""

    def __init__(self, reader: LogReader, query: LogQuery, rules: LogRules) -> None:
        self._reader = reader
        self._query = query
        pattern = query.text if query.regex else escaped(query.text)
        if not query.regex and query.text == query.text.lower():
            pattern = f"(?i){pattern}"
        wanted: list[tuple[Literal["match"], str]] = [("match", pattern)]
        self._text = LineFinder(wanted, WHOLE_LINE_BYTES) if query.text else None
        patterns = rules.errors if query.level == "error" else rules.warnings
        levels: list[tuple[Level, str]] = [(query.level, each) for each in patterns] if query.level else []
        self._level = LineFinder(levels) if query.level else None
        self._stream = LETTERS[query.stream] if query.stream else None
        self._limited = query.since_ns is not None or query.until_ns is not None
        self._since = b"" if query.since_ns is None else stamp(query.since_ns)
        self._until = b"\xff" if query.until_ns is None else stamp(query.until_ns)
        # A line may be followed by one of an earlier time, but only a little earlier.
        self._stop = b"\xff" if query.until_ns is None else stamp(query.until_ns + SLACK_NS)

    def forward(self, first: int, limit: int, seconds: float) -> FoundLines:
        """The first matching lines from `first` on."""
        found: list[LogLine] = []
        for block, numbers, over in self._blocks(self._begin(first), seconds):
            found += _lines(block, numbers[: limit - len(found)])
            if len(found) == limit:
                return FoundLines(tuple(found), found[-1].number + 1)
            if over:
                return FoundLines(tuple(found), _end(block))
        return FoundLines(tuple(found), None)

    def backward(self, last: int, limit: int, seconds: float) -> FoundLines:
        """The last matching lines up to `last`. `next_line` is then the last of the lines that are left to search."""
        deadline = time.monotonic() + seconds
        starts = [segment.first_line for segment in segments(self._reader.files.names())]
        begin = self._begin(1)
        while last >= begin:
            start = max(begin, starts[max(0, bisect_right(starts, last) - 1)]) if starts else begin
            found: list[LogLine] = []
            for block, numbers, _ in self._blocks(start, None):
                found += _lines(block, [number for number in numbers if number <= last])
                del found[:-limit]
                if _end(block) > last:
                    break
            if found:
                return FoundLines(tuple(found), found[0].number - 1 or None)
            last = start - 1
            if time.monotonic() > deadline:
                return FoundLines((), last or None)
        return FoundLines((), None)

    def tally(self, first: int, width: int, seconds: float) -> Tally:
        """Count the matching lines from `first` on."""
        bins: Counter[int] = Counter()
        kept: list[int] = []
        following: int | None = None
        for block, numbers, over in self._blocks(self._begin(first), seconds):
            bins.update((number - 1) // width for number in numbers)
            kept += numbers[: NUMBERS_KEPT - len(kept)]
            if over:
                following = _end(block)
                break
        return Tally(bins.total(), width, dict(bins), tuple(kept), following)

    def _begin(self, first: int) -> int:
        since = self._query.since_ns
        return first if since is None else max(first, self._reader.first_line_since(max(0, since - SLACK_NS)))

    def _blocks(self, first: int, seconds: float | None) -> Iterator[tuple[Block, list[int], bool]]:
        """Blocks from `first` on with the numbers of their matching lines, and whether the time is over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with Cursor(self._reader.files, first) as cursor:
            for block in cursor.blocks():
                if block.stored[:STAMP_BYTES] > self._stop:
                    return
                yield block, self._matching(block), deadline is not None and time.monotonic() > deadline

    def _matching(self, block: Block) -> list[int]:
        """The numbers of the lines of a block that match. Lines are looked at one by one only where that is needed."""
        lines = block.stored[:-1].split(b"\n")
        places: Sequence[int] = range(len(lines))
        if self._text is not None:
            places = _found(self._text, b"\n".join([line[TEXT_OFFSET:] for line in lines]) + b"\n")
        if self._level is not None and places:
            # The rules do not apply to lines of the runner.
            places = [place for place in places if lines[place][LETTER] != LETTERS["winslow"]]
            text = b"".join([lines[place][TEXT_OFFSET:] + b"\n" for place in places])
            places = [places[place] for place in _found(self._level, text)]
        if self._stream is not None:
            places = [place for place in places if lines[place][LETTER] == self._stream]
        if self._limited:
            places = [place for place in places if self._since <= lines[place][:STAMP_BYTES] <= self._until]
        return [block.first_line + place for place in places]


def _found(finder: LineFinder[Any], text: bytes) -> list[int]:
    return [line.number for line in finder.find(scannable(text), 0)]


def _lines(block: Block, numbers: list[int]) -> list[LogLine]:
    if not numbers:
        return []
    stored = block.stored[:-1].split(b"\n")
    return [parsed(stored[number - block.first_line], number) for number in numbers]


def _end(block: Block) -> int:
    """The number of the line after a block."""
    return block.first_line + block.stored.count(b"\n")
