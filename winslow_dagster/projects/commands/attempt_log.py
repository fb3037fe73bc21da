"""The log of one attempt as a page shows it: in windows, with what its stage's rules make of each line."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from blake3 import blake3

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import log_of
from winslow_dagster.projects.domain.log_views import FoundPart, LogLines, LogShape, ShownLine
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.stages.log import LogLine, LogReader
from winslow_dagster.stages.log.density import Density, Level
from winslow_dagster.stages.log.finder import LineFinder
from winslow_dagster.stages.log.patterns import scannable
from winslow_dagster.stages.log.printed import PrintedText
from winslow_dagster.stages.log.search import LogQuery, LogSearch, Tally
from winslow_dagster.stages.task.model import LogSummary

LINES_MOST = 500
"""Lines of one window."""
SHOWN_CHARACTERS = 4_000
"""Of a longer line, a window has the beginning."""
FAST = 1
"""The level of compression: a log shrinks by far anyway."""
FOUND_MOST = 500
SEARCH_S = 0.25
"""How long one step of a search may take, so that others can read logs in between."""


@dataclass(frozen=True, slots=True)
class WholeText:
    """The text of a stored log. Another log has another `tag`."""

    text: PrintedText
    tag: str


class AttemptLog:
    """The log of one attempt: live while it runs, from the store once it has ended."""

    def __init__(self, context: Context, attempt: Attempt, rules: LogRules) -> None:
        self._context = context
        self.attempt = attempt
        self._rules = rules
        self.reader: LogReader = log_of(context, attempt)

    def summary(self) -> LogSummary:
        """What the rules of the stage have found, with the first and the last errors and warnings."""
        result = self._context.records.result(self.attempt.task_id)
        if result is not None:
            return result.log
        status = self._context.engine.status(self.attempt.task_id).status
        return LogSummary() if status is None else status.log

    def shape(self) -> LogShape:
        """How long it is now."""
        ended = self.reader.ended  # read first: what was written before the end is counted after it
        first, last = self.reader.omitted() or (0, 0)
        return LogShape(self.reader.last_number(), ended, first, last)

    def window(self, first: int, count: int, *, whole: bool = False) -> LogLines:
        """Up to `count` lines from `first` on, at most 500. With `whole`, very long lines are complete."""
        shape = self.shape()
        following = self.reader.lines(first, shape.lines) if first <= shape.lines else ()
        lines = list(islice(following, min(count, LINES_MOST)))
        return LogLines(self._shown(lines, None if whole else SHOWN_CHARACTERS), shape)

    def density(self) -> Density:
        """Where its errors and warnings are."""
        return self.reader.density(self._rules)

    def search(self, query: LogQuery, first: int = 1, limit: int = FOUND_MOST) -> FoundPart:
        """The first matching lines from `first` on, as far as a quarter of a second takes.

        Raises PipelineInvalid for a malformed regular expression.
        """
        found = self._search(query).forward(first, min(limit, FOUND_MOST), SEARCH_S)
        return FoundPart(self._shown(found.lines, SHOWN_CHARACTERS), found.next_line)

    def search_back(self, query: LogQuery, last: int, limit: int = FOUND_MOST) -> FoundPart:
        """The last matching lines up to `last`, as far as a quarter of a second takes."""
        found = self._search(query).backward(last, min(limit, FOUND_MOST), SEARCH_S)
        return FoundPart(self._shown(found.lines, SHOWN_CHARACTERS), found.next_line)

    def matching(self, query: LogQuery) -> Iterator[LogLine]:
        """All matching lines up to the current end, however long that takes."""
        search = self._search(query)
        first: int | None = 1
        while first is not None:
            found = search.forward(first, FOUND_MOST, SEARCH_S)
            yield from found.lines
            first = found.next_line

    def count(self, query: LogQuery, first: int = 1, width: int = 1_000) -> Tally:
        """How many lines match from `first` on, as far as a quarter of a second takes."""
        return self._search(query).tally(first, width, SEARCH_S)

    def _search(self, query: LogQuery) -> LogSearch:
        return LogSearch(self.reader, query, self._rules)

    def first_line_since(self, at: datetime) -> int:
        """The number of the first line that was printed then or later."""
        return self.reader.first_line_since(round(at.timestamp() * 1e9))

    def text(self, first: int = 1, last: int | None = None) -> Iterator[bytes]:
        """The lines as the stage printed them, in pieces."""
        return self.reader.printed(first, last)

    def whole_text(self) -> WholeText | None:
        """All lines as one text of known size, once it is stored. None while it may grow."""
        result = self._context.records.result(self.attempt.task_id)
        stored = None if result is None else result.log_manifest
        text = None if stored is None else self.reader.whole_text()
        if stored is None or text is None:
            return None
        return WholeText(text, blake3(stored.model_dump_json().encode()).hexdigest())

    def _shown(self, lines: Sequence[LogLine], longest: int | None) -> tuple[ShownLine, ...]:
        levels = self._levels(lines)
        return tuple(
            ShownLine(
                line.number,
                line.stamp,
                line.stream,
                levels.get(place),
                line.text[:longest],
                0 if longest is None else max(0, len(line.text) - longest),
            )
            for place, line in enumerate(lines)
        )

    def _levels(self, lines: Sequence[LogLine]) -> dict[int, Level]:
        """Place of a line -> its level. The rules do not apply to lines of the runner."""
        sources: list[tuple[Level, str]] = [("error", each) for each in self._rules.errors]
        sources += [("warning", each) for each in self._rules.warnings]
        chunk = "".join(f"{'' if line.stream == 'winslow' else line.text}\n" for line in lines).encode()
        found = LineFinder(sources).find(scannable(chunk), 0)
        return {line.number: "error" if "error" in line.kinds else "warning" for line in found}


def compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces as one gzip file."""
    packer = zlib.compressobj(FAST, wbits=zlib.MAX_WBITS | 16)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
