"""Searches log lines for the regular expressions of a pipeline (RE2 syntax, in linear time).

A `Scanner` searches whole chunks for all patterns at once and yields the lines that may match; a `LinePattern` then
decides about each of these lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import AnyStr, Final, NamedTuple

import re2

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines.patterns import PatternMalformed, compile_pattern

MATCH_LIMIT_BYTES: Final = 8_192
"""The part of a line that is searched."""

ONE_LINE_ONLY: Final = re.compile(r"\\[AzQC]|\(\?[a-zA-Z]*-")
"""Means something else in a chunk of many lines: anchors of the text, quoted text that may look like them, single
bytes, and flags that are turned off, such as `(?-m)`.
"""

COLOURS: Final = re.compile(rb"\x1b\[[0-9;:]*m")
"""Escape sequences that colour a terminal's text. They end with a letter, so that `\\b` finds no word behind them."""

MANY_IN_A_ROW: Final = 16
"""After this many candidate lines in a row, only every 16th is found by a scan: trying each line is then cheaper."""


class Span(NamedTuple):
    """The position of a line in a chunk; `end` is its line feed."""

    start: int
    end: int


class LinePattern:
    """One pattern, searched in one line at a time. Raises PipelineInvalid if it is malformed."""

    def __init__(self, source: str, *, capture: bool = True) -> None:
        try:
            self._compiled = compile_pattern(source, capture=capture)
        except PatternMalformed as error:
            raise PipelineInvalid(
                f"the log pattern {source!r} is not a regular expression in RE2 syntax: {error}",
                remedy="Correct the pattern.",
            ) from error

    def search(self, line: AnyStr) -> re2._Match[AnyStr] | None:
        """The first match in the line."""
        return self._compiled.search(line)


class Scanner:
    """Finds the lines of a chunk that may match one of several patterns."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._union = _union(sources)
        self._never = not sources

    def spans(self, chunk: bytes, start: int = 0) -> Iterator[Span]:
        """The candidate lines in order, from the line that begins at `start`. The chunk ends with a line feed."""
        if self._never:
            return
        in_a_row = 0
        while start < len(chunk):
            if self._union is not None and (in_a_row < MANY_IN_A_ROW or in_a_row % MANY_IN_A_ROW == 0):
                match = self._union.search(chunk, start)
                if match is None:
                    return
                line = chunk.rfind(b"\n", 0, match.start()) + 1
                if line == len(chunk):
                    return  # An empty match behind the last line, which is no line.
                in_a_row = in_a_row if line == start else 0
                start = line
            end = chunk.index(b"\n", start)
            yield Span(start, end)
            start = end + 1
            in_a_row += 1


def can_scan(source: str) -> bool:
    """Whether a search of a whole chunk finds at least the lines in which the pattern matches."""
    return not ONE_LINE_ONLY.search(source)


def _union(sources: Sequence[str]) -> re2._Regexp[str] | None:
    """All patterns as one; None if that is impossible, so that every line is a candidate.

    A match that extended over lines would hide others, and looking for its end would search the same lines many times.
    """
    if not all(map(can_scan, sources)):
        return None
    alternatives = "|".join(f"(?:{source})" for source in sources)
    try:
        return compile_pattern(f"(?m){alternatives}", capture=False, within_lines=True)
    except PatternMalformed:  # too large together
        return None


def scannable(chunk: bytes) -> bytes:
    """The chunk as a person reads it: without colours, and as valid UTF-8, which RE2 requires. Line feeds are kept."""
    if b"\x1b" in chunk:
        chunk = COLOURS.sub(b"", chunk)
    return chunk if chunk.isascii() else chunk.decode("utf-8", "replace").encode()


def line_part(chunk: bytes, span: Span, limit_bytes: int = MATCH_LIMIT_BYTES) -> bytes:
    """The part of a line that is searched."""
    return chunk[span.start : min(span.end, span.start + limit_bytes)]
