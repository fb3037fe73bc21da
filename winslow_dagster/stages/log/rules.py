"""What is read from the log while it is written: findings, results, requests for input, progress."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.pipelines.model.pipeline import LogRules, ProgressRule
from winslow_dagster.stages.log.patterns import (
    LinePattern,
    Scanner,
    Span,
    line_text,
    scan_pattern,
    scannable,
)
from winslow_dagster.stages.log.progress import Pace, Reading
from winslow_dagster.stages.task.model import LogFinding, LogSummary

FINDINGS_KEPT: Final = 50
"""So many of the first, and so many of the last, of each kind."""

TEXT_LIMIT: Final = 1_000
RESULTS_LIMIT: Final = 1_000
RESULT_VALUE_LIMIT: Final = 4_096

SPOKEN: Final = r"^WINSLOW_(?:RESULT|AWAIT_INPUT): "
RESULT: Final = re.compile(r"WINSLOW_RESULT: *([^=]*[^= ]) *= *(.*)")
AWAIT_INPUT: Final = re.compile(r"WINSLOW_AWAIT_INPUT: *(.*)")

Kind = Literal["warning", "error", "spoken"]


@dataclass(slots=True)
class Findings:
    """The first and the last few of one kind, as (line, text), and how many there were."""

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    last: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        """Count one more."""
        self.count += 1
        kept = self.first if len(self.first) < FINDINGS_KEPT else self.last
        kept.append((line, text[:TEXT_LIMIT]))
        if len(self.last) > FINDINGS_KEPT:
            del self.last[0]

    def kept(self) -> tuple[LogFinding, ...]:
        """What was kept, in order."""
        return tuple(LogFinding(line=line, text=storable(text)) for line, text in (*self.first, *self.last))


class MatcherState(BaseModel):
    """Everything the matcher knows, so that another can go on after it."""

    model_config = ConfigDict(extra="forbid")

    warnings: Findings = Field(default_factory=Findings)
    errors: Findings = Field(default_factory=Findings)
    results: dict[str, str] = {}
    results_refused: int = 0
    awaiting_input_message: str | None = None
    paces: dict[str, Pace] = {}
    strikes: dict[str, int] = {}


class RuleMatcher:
    """Applies the rules of one stage to its log, chunk by chunk; what comes of it does not depend on the chunks.

    Raises PipelineInvalid for a pattern that cannot be used.
    """

    def __init__(self, rules: LogRules, state: MatcherState | None = None) -> None:
        self.state = MatcherState() if state is None else state.model_copy(deep=True)
        self._progress = [_ProgressMatcher(rule) for rule in rules.progress]
        self._any_progress = Scanner([rule.pattern for rule in rules.progress])
        self._searches = _searches(rules)
        for pattern in self._patterns():
            pattern.strikes = self.state.strikes.get(pattern.source, 0)

    def feed(self, lines: bytes, first_line: int, at_ns: int, updates: bytes | None = None) -> None:
        """Read whole lines, the first of them numbered `first_line`, that came at `at_ns`.

        `updates` is what progress is read from where that is not the lines themselves.
        """
        if lines:
            self._find(scannable(lines), first_line)
        moving = lines if updates is None else updates
        if self._progress and moving:
            self._read_progress(scannable(moving), at_ns)

    def summary(self, lines: int, size_bytes: int, now_ns: int) -> LogSummary:
        """Everything found so far. Elapsed and remaining times are those at `now_ns`."""
        state = self.state
        return LogSummary(
            lines=lines,
            size_bytes=size_bytes,
            warning_count=state.warnings.count,
            error_count=state.errors.count,
            warnings=state.warnings.kept(),
            errors=state.errors.kept(),
            results=dict(state.results),
            progress=tuple(pace.seen(subject, now_ns) for subject, pace in state.paces.items()),
            awaiting_input_message=state.awaiting_input_message,
            notes=self._notes(),
        )

    def kept_state(self) -> MatcherState:
        """The state as it is now, to be stored."""
        self.state.strikes = {pattern.source: pattern.strikes for pattern in self._patterns() if pattern.strikes}
        return self.state

    def _find(self, chunk: bytes, first_line: int) -> None:
        hits: dict[Span, tuple[str, list[Kind]]] = {}
        for search in self._searches:
            for span in search.scanner.spans(chunk):
                text = line_text(chunk, span)
                for kind, patterns in search.patterns:
                    for pattern in patterns:
                        if pattern.search(text):
                            hits.setdefault(span, (text, []))[1].append(kind)
                            break
        line, counted_to = first_line, 0
        for span in sorted(hits):
            line += chunk.count(b"\n", counted_to, span.start)
            counted_to = span.start
            text, kinds = hits[span]
            if "warning" in kinds:
                self.state.warnings.add(line, text)
            if "error" in kinds:
                self.state.errors.add(line, text)
            if "spoken" in kinds:
                self._hear(storable(text))

    def _hear(self, text: str) -> None:
        if asked := AWAIT_INPUT.fullmatch(text):
            self.state.awaiting_input_message = asked[1][:TEXT_LIMIT]
        elif told := RESULT.fullmatch(text):
            key, value = told[1][:TEXT_LIMIT], told[2].rstrip()[:RESULT_VALUE_LIMIT]
            if key in self.state.results or len(self.state.results) < RESULTS_LIMIT:
                self.state.results[key] = value
            else:
                self.state.results_refused += 1

    def _read_progress(self, chunk: bytes, at_ns: int) -> None:
        if next(self._any_progress.spans(chunk), None) is None:
            return
        latest: dict[str, tuple[int, Reading]] = {}
        for matcher in self._progress:
            found = matcher.last(chunk)
            subject = matcher.rule.subject
            if found is not None and found[0] >= latest.get(subject, (0, None))[0]:
                latest[subject] = found
        for subject, (_, reading) in latest.items():
            pace = self.state.paces.get(subject)
            self.state.paces[subject] = Pace.starting(reading, at_ns) if pace is None else pace.after(reading, at_ns)

    def _notes(self) -> tuple[str, ...]:
        notes = [
            f"the pattern {pattern.source!r} was given up: it took too long on {pattern.strikes} lines"
            for pattern in self._patterns()
            if pattern.given_up
        ]
        if self.state.results_refused:
            notes.append(f"{self.state.results_refused} results beyond the first {RESULTS_LIMIT} were not kept")
        return tuple(notes)

    def _patterns(self) -> list[LinePattern]:
        return [
            *(pattern for search in self._searches for _, patterns in search.patterns for pattern in patterns),
            *(matcher.pattern for matcher in self._progress),
        ]


class _Search:
    """Patterns of several kinds that one scan serves."""

    def __init__(self, sources: Sequence[tuple[Kind, str]]) -> None:
        self.scanner = Scanner([source for _, source in sources])
        kinds = dict.fromkeys(kind for kind, _ in sources)
        self.patterns = [(kind, [LinePattern(source) for of, source in sources if of == kind]) for kind in kinds]


class _ProgressMatcher:
    """One progress rule. Only the last matching line of a chunk counts, so it is looked for from the end."""

    def __init__(self, rule: ProgressRule) -> None:
        self.rule = rule
        self.pattern = LinePattern(rule.pattern)
        self._scanner = Scanner([rule.pattern])

    def last(self, chunk: bytes) -> tuple[int, Reading] | None:
        """Where in the chunk the last reading stands, and the reading."""
        end, size = len(chunk), 4_096
        while end:
            start = chunk.rfind(b"\n", 0, max(0, end - size)) + 1
            window = chunk[start:end]
            for span in reversed(list(self._scanner.spans(window))):
                match = self.pattern.search(line_text(window, span))
                reading = Reading.from_groups(match.groupdict()) if match else None
                if reading is not None:
                    return start + span.start, reading
            end, size = start, size * 8
        return None


def _searches(rules: LogRules) -> list[_Search]:
    """One search for all patterns that can be scanned for at once, and one for the others, which try every line."""
    sources: list[tuple[Kind, str]] = [("spoken", SPOKEN)]
    sources += [("warning", source) for source in rules.warnings]
    sources += [("error", source) for source in rules.errors]
    together = [pair for pair in sources if scan_pattern(pair[1]) is not None]
    alone = [pair for pair in sources if scan_pattern(pair[1]) is None]
    return [_Search(group) for group in (together, alone) if group]


def storable(text: str) -> str:
    """Text as every database takes it: PostgreSQL refuses NUL."""
    return text.replace("\x00", "\ufffd")
