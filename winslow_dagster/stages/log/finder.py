"""Finds the lines of a chunk that patterns of several kinds match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from winslow_dagster.stages.log.patterns import MATCH_LIMIT_BYTES, LinePattern, Scanner, Span, can_scan, line_part

Kind = TypeVar("Kind", bound=str)


class FoundLine(NamedTuple, Generic[Kind]):
    """A line that patterns match, and the kinds of these patterns. `text` is the part that was searched."""

    number: int
    text: bytes
    kinds: list[Kind]


class LineFinder(Generic[Kind]):
    """Searches for all patterns at once, in the first `limit_bytes` of each line.

    Raises PipelineInvalid for a malformed pattern.
    """

    def __init__(self, sources: Sequence[tuple[Kind, str]], limit_bytes: int = MATCH_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        # One search for all patterns that can be scanned for together, and one for the others, which try every line.
        together = [pair for pair in sources if can_scan(pair[1])]
        alone = [pair for pair in sources if not can_scan(pair[1])]
        self._searches = [_Search(group) for group in (together, alone) if group]

    def find(self, chunk: bytes, first_line: int) -> list[FoundLine[Kind]]:
        """The lines in order. The chunk is whole lines, the first of them numbered `first_line`, in valid UTF-8."""
        hits: dict[Span, FoundLine[Kind]] = {}
        for search in self._searches:
            for span in search.scanner.spans(chunk):
                part = line_part(chunk, span, self._limit_bytes)
                for kind, patterns in search.patterns:
                    if any(pattern.search(part) for pattern in patterns):
                        hits.setdefault(span, FoundLine(0, part, [])).kinds.append(kind)
        found = []
        line, counted_to = first_line, 0
        for span in sorted(hits):
            line += chunk.count(b"\n", counted_to, span.start)
            counted_to = span.start
            found.append(hits[span]._replace(number=line))
        return found


class _Search(Generic[Kind]):
    """Patterns of several kinds that share one scan."""

    def __init__(self, sources: Sequence[tuple[Kind, str]]) -> None:
        self.scanner = Scanner([source for _, source in sources])
        kinds = dict.fromkeys(kind for kind, _ in sources)
        self.patterns = [
            (kind, [LinePattern(source, capture=False) for of, source in sources if of == kind]) for kind in kinds
        ]
