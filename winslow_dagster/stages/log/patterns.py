"""Regular expressions that people write, searched in logs nobody controls: fast, and unable to hang the reader.

Two engines share the work. RE2 scans whole chunks for all patterns at once, in time linear in their size whatever the
patterns are, and only says which lines may match. `regex`, which agrees with Python's `re`, then decides about those
lines alone, each within a bound of length and of processor time. What RE2 does not know (look-around, back-references,
a few spellings) goes without the scan: every line is tried, at about a microsecond a pattern.
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
    r"""\\[AZzQEpPCGKhHRXN0-9]  # anchors of the whole text, which the scan is not; spellings only one of them knows
    | \(\?(?!:|P<|i\)|i:)       # any flag but i; look-around; back-references
    | \{,                       # {,3} is a repetition in Python alone
    | \[:                       # [:alpha:] is a class in RE2 alone
    """,
    regex.VERBOSE,
)
TOKEN: Final = regex.compile(r"\\.|\[\^?\]?|.", regex.DOTALL)

BEYOND_ASCII: Final = r"\x{80}-\x{10ffff}"
WIDER: Final = {
    r"\w": rf"\w{BEYOND_ASCII}",
    r"\d": rf"\d{BEYOND_ASCII}",
    r"\s": rf"\s\x0b\x1c-\x1f{BEYOND_ASCII}",
}
"""Of characters beyond ASCII RE2 thinks otherwise than Python; the scan takes each for whatever is looked for."""

ANYWHERE: Final = "(?:)"

MANY_IN_A_ROW: Final = 16
"""After so many lines that may match, only every so manieth is scanned for: trying costs less than asking."""


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
        in_a_row = 0
        while start < len(chunk):
            last = start
            if self._union is not None and (in_a_row < MANY_IN_A_ROW or in_a_row % MANY_IN_A_ROW == 0):
                match = self._union.search(chunk, start)
                if match is None:
                    return
                found, last = match.span()
                line = chunk.rfind(b"\n", 0, found) + 1
                in_a_row = in_a_row if line == start else 0
                start = line
            # A match may run over line feeds and so hide others: each line it touches is tried.
            while start <= last and start < len(chunk):
                end = chunk.index(b"\n", start)
                yield Span(start, end)
                start = end + 1
                in_a_row += 1


def scan_pattern(source: str) -> str | None:
    r"""The pattern that makes RE2 find at least the lines on which Python finds `source`; None where there is none.

    Word boundaries are left out, since they depend on what a letter is, and `\w`, `\d` and `\s` are widened.
    """
    if UNLIKE_PYTHON.search(source):
        return None
    parts: list[str] = []
    inside = ""  # how the class began in which the part stands
    for part in TOKEN.findall(source):
        if part in WIDER and inside != "[^":
            parts.append(WIDER[part] if inside else f"[{WIDER[part]}]")
        elif part in {r"\b", r"\B"} and not inside:
            parts.append(ANYWHERE)
        elif part in {r"\W", r"\D", r"\S"} and inside == "[^":
            return None
        else:
            parts.append(part)
            if not inside and part[0] == "[":
                inside = part[:2] if part[1:2] == "^" else "["
            elif part == "]":
                inside = ""
    pattern = "".join(parts)
    try:
        re2.compile(pattern.encode(), options=_options())
    except re2.error:
        return None
    return pattern


def _union(sources: Sequence[str]) -> re2._Regexp[bytes] | None:
    """All patterns as one of RE2's; None where one of them has no counterpart there."""
    patterns = [scan_pattern(source) for source in sources]
    if None in patterns:
        return None
    alternatives = "|".join(f"(?:{pattern})" for pattern in patterns)
    try:
        return re2.compile(f"(?m){alternatives}".encode(), options=_options())
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
