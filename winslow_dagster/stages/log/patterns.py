"""Regular expressions that people write, searched in logs nobody controls: fast, and unable to hang the reader.

Two engines share the work. RE2 scans whole chunks for all patterns at once, in time linear in their size whatever the
patterns are, and only says which lines may match. `regex`, which agrees with Python's `re`, then decides about those
lines alone, each within a bound of length and of processor time. What RE2 does not read as Python does (look-around,
back-references, a few spellings) goes without the scan: every line is tried, at about a microsecond a pattern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import re2
import regex

from winslow_dagster.errors import PipelineInvalid

MATCH_LIMIT_BYTES: Final = 8_192
"""How much of a line is looked at."""

MATCH_LIMIT_S: Final = 0.05
"""Processor time for one pattern on one line."""

MATCH_STRIKES: Final = 3
"""After so many lines on which it took too long, a pattern is given up for this log."""

UNLIKE_PYTHON: Final = regex.compile(
    r"""\\[AZzQEpPCGKhHRX0-9]   # anchors of the whole text, which the scan is not; spellings only one of them knows
    | \(\?(?!:|P<|i\)|i:)       # any flag but i; look-around; back-references
    | \{,                       # {,3} is a repetition in Python alone
    | \[:                       # [:alpha:] is a class in RE2 alone
    """,
    regex.VERBOSE,
)
ASKS_FOR_CLASSES: Final = regex.compile(r"\\[wWdDsSbB]")
OTHER_CLASSES: Final = r"[^\x00-\x7f]|[\x0b\x1c-\x1f]"
"""Where \\w, \\d, \\s and \\b mean less to RE2 than to Python; lines with such characters are always tried."""


class Span(NamedTuple):
    """Where a line stands in a chunk; `end` is its line feed."""

    start: int
    end: int


class LinePattern:
    """One pattern, searched in one line at a time."""

    def __init__(self, source: str) -> None:
        try:
            self._compiled = regex.compile(source)
        except regex.error as error:
            raise PipelineInvalid(
                f"the log pattern {source!r} cannot be used: {error}",
                remedy="Correct the pattern in the pipeline file.",
            ) from error
        self.source = source
        self.strikes = 0

    @property
    def given_up(self) -> bool:
        """Whether it took too long too often, and is no longer searched."""
        return self.strikes >= MATCH_STRIKES

    def search(self, text: str) -> regex.Match[str] | None:
        """The first match in the line; None as well where the pattern took too long."""
        if self.given_up:
            return None
        try:
            # The time is this process's processor time: a machine that is busy elsewhere does not change the result.
            return self._compiled.search(text, timeout=MATCH_LIMIT_S)
        except TimeoutError:
            self.strikes += 1
            return None


class Scanner:
    """Finds the lines of a chunk on which one of several patterns may match."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._union = _union(sources)
        self._never = not sources

    def spans(self, chunk: bytes, start: int = 0) -> Iterator[Span]:
        """The lines to try, in order, from the line that begins at `start`. The chunk ends with a line feed."""
        if self._never:
            return
        while start < len(chunk):
            last = start
            if self._union is not None:
                match = self._union.search(chunk, start)
                if match is None:
                    return
                found, last = match.span()
                start = chunk.rfind(b"\n", 0, found) + 1
            # A match may run over line feeds and so hide others: each line it touches is tried.
            while start <= last and start < len(chunk):
                end = chunk.index(b"\n", start)
                yield Span(start, end)
                start = end + 1


def read_alike(source: str) -> bool:
    """Whether RE2 finds at least the lines that Python's `re` finds."""
    if UNLIKE_PYTHON.search(source):
        return False
    try:
        re2.compile(source.encode(), options=_options())
    except re2.error:
        return False
    return True


def _union(sources: Sequence[str]) -> re2._Regexp[bytes] | None:
    """All patterns as one of RE2's; None where one of them has no counterpart there."""
    if not all(read_alike(source) for source in sources):
        return None
    parts = [f"(?:{source})" for source in sources]
    if any(ASKS_FOR_CLASSES.search(source) for source in sources):
        parts.append(OTHER_CLASSES)
    try:
        return re2.compile(f"(?m){'|'.join(parts)}".encode(), options=_options())
    except re2.error:  # all together too large for it
        return None


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return options


def scannable(chunk: bytes) -> bytes:
    """The chunk as RE2 can read it: what is not UTF-8 replaced. Line feeds stay where they were, counted in lines."""
    return chunk if chunk.isascii() else chunk.decode("utf-8", "replace").encode()


def line_text(chunk: bytes, span: Span) -> str:
    """The part of a line that patterns are searched in."""
    return chunk[span.start : min(span.end, span.start + MATCH_LIMIT_BYTES)].decode("utf-8", "replace")
