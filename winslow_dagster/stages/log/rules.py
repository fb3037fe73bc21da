"""Reads findings, results, requests for input and progress from the log while it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.pipelines.model.stage_rules import LogRules, ProgressRule
from winslow_dagster.stages.log.density import Density
from winslow_dagster.stages.log.finder import LineFinder
from winslow_dagster.stages.log.patterns import LinePattern, Scanner, line_part, scannable
from winslow_dagster.stages.log.progress import Pace, Reading
from winslow_dagster.stages.task.model import LogFinding, LogSummary

FINDINGS_KEPT: Final = 50
"""The number of first and of last findings kept of each kind."""

TEXT_LIMIT: Final = 1_000
RESULTS_LIMIT: Final = 1_000
RESULT_VALUE_LIMIT: Final = 4_096

MARKER: Final = r"^WINSLOW_(?:RESULT|AWAIT_INPUT):"

Kind = Literal["warning", "error", "marker"]


@dataclass(slots=True)
class KeptFindings:
    """The first and the last few findings of one kind, as (line, text), and the count of all."""

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
        """The findings that were kept, in order."""
        return tuple(LogFinding(line=line, text=storable(text)) for line, text in (*self.first, *self.last))


class MatcherState(BaseModel):
    """The state of a matcher, from which another continues after a restart."""

    model_config = ConfigDict(extra="forbid")

    warnings: KeptFindings = Field(default_factory=KeptFindings)
    errors: KeptFindings = Field(default_factory=KeptFindings)
    density: Density = Field(default_factory=Density)
    results: dict[str, str] = {}
    results_refused: int = 0
    awaiting_input_message: str | None = None
    paces: dict[str, Pace] = {}


class RuleMatcher:
    """Applies the rules of one stage to its log, chunk by chunk. The result does not depend on the chunks.

    Raises PipelineInvalid for a malformed pattern.
    """

    def __init__(self, rules: LogRules, state: MatcherState | None = None) -> None:
        self.state = MatcherState() if state is None else state.model_copy(deep=True)
        self._progress = [_ProgressMatcher(rule) for rule in rules.progress]
        self._any_progress = Scanner([rule.pattern for rule in rules.progress])
        sources: list[tuple[Kind, str]] = [("marker", MARKER)]
        sources += [("warning", source) for source in rules.warnings]
        sources += [("error", source) for source in rules.errors]
        self._finder = LineFinder(sources)

    def feed(self, lines: bytes, first_line: int, at_ns: int, updates: bytes | None = None) -> None:
        """Read whole lines that arrived at `at_ns`, the first of them numbered `first_line`.

        Progress is read from `updates` if given, else from the lines.
        """
        if lines:
            self._find(scannable(lines), first_line)
        moving = lines if updates is None else updates
        if self._progress and moving:
            self._read_progress(scannable(moving), at_ns)

    def summary(self, lines: int, size_bytes: int, now_ns: int) -> LogSummary:
        """Everything found so far, with elapsed and remaining times as of `now_ns`."""
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
        """The current state, to be stored."""
        return self.state

    def _find(self, chunk: bytes, first_line: int) -> None:
        for line, part, kinds in self._finder.find(chunk, first_line):
            text = part.decode("utf-8", "replace")
            if "warning" in kinds:
                self.state.warnings.add(line, text)
                self.state.density.add("warning", line)
            if "error" in kinds:
                self.state.errors.add(line, text)
                self.state.density.add("error", line)
            if "marker" in kinds:
                self._read_marker(storable(text))

    def _read_marker(self, text: str) -> None:
        marker, _, content = text.partition(":")
        if marker == "WINSLOW_AWAIT_INPUT":
            self.state.awaiting_input_message = content.strip()[:TEXT_LIMIT]
            return
        name, assigned, result = content.partition("=")
        key, value = name.strip()[:TEXT_LIMIT], result.strip()[:RESULT_VALUE_LIMIT]
        if key and assigned:
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
        refused = self.state.results_refused
        return (f"{refused} results beyond the first {RESULTS_LIMIT} were not kept",) if refused else ()


class _ProgressMatcher:
    """One progress rule. Only the last matching line of a chunk counts, so the search starts from the end."""

    def __init__(self, rule: ProgressRule) -> None:
        self.rule = rule
        self._pattern = LinePattern(rule.pattern)
        self._scanner = Scanner([rule.pattern])

    def last(self, chunk: bytes) -> tuple[int, Reading] | None:
        """The last reading in the chunk with its position."""
        end, size = len(chunk), 4_096
        while end:
            start = chunk.rfind(b"\n", 0, max(0, end - size)) + 1
            window = chunk[start:end]
            for span in reversed(list(self._scanner.spans(window))):
                match = self._pattern.search(line_part(window, span).decode("utf-8", "replace"))
                reading = Reading.from_groups(match.groupdict()) if match else None
                if reading is not None:
                    return start + span.start, reading
            end, size = start, size * 8
        return None


def storable(text: str) -> str:
    """Text that every database accepts: PostgreSQL rejects NUL."""
    return text.replace("\x00", "\ufffd")
