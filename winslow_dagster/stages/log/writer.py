"""Writes the live log of one stage attempt, and reads its rules from it on the way."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from winslow_dagster.pipelines.model import LogRules
from winslow_dagster.stages.log.assembly import LINE_LIMIT_BYTES, Assembled, LineAssembler
from winslow_dagster.stages.log.checkpoint import Checkpoint, StreamPoint
from winslow_dagster.stages.log.cursor import Cursor
from winslow_dagster.stages.log.lines import (
    LETTER,
    LETTERS,
    NS_PER_S,
    STAMP_BYTES,
    STREAMS,
    TEXT_OFFSET,
    Stream,
    nanoseconds,
    parse_stamp,
    stamp,
    stamp_of_second,
    stamped,
)
from winslow_dagster.stages.log.rules import RuleMatcher
from winslow_dagster.stages.log.segment_writer import SegmentWriter
from winslow_dagster.stages.log.segments import LEFT_OUT, Directory, blocks, content, segments
from winslow_dagster.stages.task import LogSummary

SEGMENT_BYTES: Final = 8 * 2**20
LIMIT_BYTES: Final = 512 * 2**20

GROWTH: Final = TEXT_OFFSET + 1
"""A text of line feeds alone grows so many times when it is stamped."""

RESUME_SLACK_NS: Final = NS_PER_S
"""Docker stamps the lines of both streams before it puts them in order: a line may follow one that is stamped later.
Nothing that was not stored yet is stamped earlier than this before the last line stored.
"""


class Entry(NamedTuple):
    """A piece of one stream with its moment, as a container's log delivers it."""

    stream: Stream
    at_ns: int
    payload: bytes


class ResumePoint(NamedTuple):
    """Where the log goes on.

    A source with stamps is asked for everything since `since_ns` (a whole second, so that nobody rounds it), and what
    `stored` counts for a stamp is dropped: so many lines carrying it are in the log. `at_ns` is the stamp of the line
    numbered `line`, the last one. A source with offsets goes on at `sources`.
    """

    line: int
    at_ns: int
    since_ns: int
    stored: Mapping[int, int]
    sources: Mapping[Stream, StreamPoint]


class LogWriter:
    """The one writer of the log in `directory`, which it goes on with where another was killed.

    What `write` took is on disk when it returns; only a line without its line feed waits, and comes again from its
    source after a crash. Memory stays within a few times the size of a segment whatever is written. May be used from
    several threads. Raises PipelineInvalid for a rule that cannot be used, and OSError where the disk refuses: then
    this writer is broken, and another on the same directory goes on after the last whole line.
    """

    def __init__(
        self,
        directory: Path,
        rules: LogRules,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._directory = directory
        self._files = Directory(directory)
        self._lock = threading.Lock()
        self._segments = SegmentWriter(directory, segment_bytes=segment_bytes, limit_bytes=limit_bytes)
        self._piece_bytes = max(1, self._segments.segment_bytes // GROWTH)
        self._assemblers: dict[Stream, LineAssembler] = {stream: LineAssembler() for stream in LETTERS}
        checkpoint = Checkpoint.read(directory)
        if checkpoint is None or checkpoint.lines >= self._segments.next_line:
            # None yet, or the machine stopped before the disk had all that it speaks of.
            checkpoint = Checkpoint()
        self._size_bytes = checkpoint.size_bytes
        self._last_ns = checkpoint.last_ns
        self._offsets = {stream: checkpoint.source(stream).offset_bytes for stream in LETTERS}  # of the next line
        self._skips = {stream: checkpoint.source(stream).skip_lines for stream in LETTERS}
        self._matcher = RuleMatcher(rules, checkpoint.matcher)
        self._read_again(checkpoint.lines + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def write(self, stream: Stream, data: bytes, at: datetime | int | None = None) -> None:
        """Take the next chunk of a stream, cut anywhere, that came at `at` (an int is nanoseconds; None is now).

        The stream `winslow` is for what the runner itself has to say; rules are not read from it.
        """
        at_ns = nanoseconds(at)
        with self._lock:
            for start in range(0, len(data), self._piece_bytes):
                piece = data[start : start + self._piece_bytes]
                self._store_piece(stream, piece, at_ns)

    def write_entries(self, entries: Iterable[Entry]) -> None:
        """Take pieces that each have a moment of their own; many at once are much faster than one by one."""
        with self._lock:
            for batch in self._batches(entries):
                joined = b"".join([payload for _, _, payload in batch])
                if self._is_whole_lines(batch, joined):
                    block = b"".join(
                        [
                            b"%b%09dZ %b %b"
                            % (stamp_of_second(at_ns // NS_PER_S), at_ns % NS_PER_S, LETTERS[stream], payload)
                            for stream, at_ns, payload in batch
                        ]
                    )
                    first = self._append(block, len(batch), len(joined), batch[-1].at_ns)
                    self._matcher.feed(joined, first, batch[-1].at_ns)
                else:
                    for stream, at_ns, payload in batch:
                        self._store_piece(stream, payload, at_ns)

    def summary(self, now: datetime | int | None = None) -> LogSummary:
        """What the rules found so far; elapsed and remaining times are those at `now`."""
        with self._lock:
            return self._matcher.summary(self._segments.next_line - 1, self._size_bytes, nanoseconds(now))

    def resume_point(self) -> ResumePoint:
        """Where sources go on, from the next write. A line that is not complete is forgotten: it comes again."""
        with self._lock:
            for stream, assembler in self._assemblers.items():
                if assembler.raw_pending_bytes:
                    self._assemblers[stream] = LineAssembler()
            since_ns = max(0, self._last_ns - RESUME_SLACK_NS) // NS_PER_S * NS_PER_S
            return ResumePoint(
                line=self._segments.next_line - 1,
                at_ns=self._last_ns,
                since_ns=since_ns,
                stored=self._stored_since(since_ns),
                sources=self._sources(),
            )

    def source_at(self, stream: Stream, offset_bytes: int) -> None:
        """Say that what is written next to a stream stands at this offset in its source."""
        with self._lock:
            self._offsets[stream] = offset_bytes
            self._skips[stream] = 0

    def close(self) -> None:
        """End the log: what is pending becomes its last lines, everything is compressed, readers are told."""
        with self._lock:
            for stream, assembler in self._assemblers.items():
                pending_bytes = assembler.raw_pending_bytes
                self._store(assembler.end(), stream, self._last_ns)
                self._offsets[stream] += pending_bytes
            self._segments.close()
            self._save(closed=True)

    def abandon(self) -> None:
        """Let go of the directory without ending the log: another writer will go on with it."""
        with self._lock:
            self._segments.abandon()

    def _store_piece(self, stream: Stream, piece: bytes, at_ns: int) -> None:
        assembler = self._assemblers[stream]
        begun_bytes = assembler.raw_pending_bytes
        self._store(assembler.feed(piece), stream, at_ns)
        self._offsets[stream] += begun_bytes + len(piece) - assembler.raw_pending_bytes

    def _store(self, done: Assembled, stream: Stream, at_ns: int) -> None:
        first = 0
        if done.lines:
            block = stamped(done.lines, stream, at_ns)
            first = self._append(block, done.lines.count(b"\n"), len(done.lines), at_ns)
        if stream != "winslow":
            self._matcher.feed(done.lines, first, at_ns, done.updates)

    def _append(self, block: bytes, lines: int, size_bytes: int, at_ns: int) -> int:
        """Store whole lines; gives the number of the first."""
        if self._segments.must_rotate(block):
            self._segments.rotate()
            self._save(closed=False)
        first = self._segments.append(block, lines)
        self._size_bytes += size_bytes
        self._last_ns = at_ns
        return first

    def _save(self, *, closed: bool) -> None:
        Checkpoint(
            closed=closed,
            lines=self._segments.next_line - 1,
            size_bytes=self._size_bytes,
            last_ns=self._last_ns,
            sources=self._sources(),
            matcher=self._matcher.kept_state(),
        ).write(self._directory)

    def _batches(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """Entries in lists that, stamped, fit into a segment."""
        batch: list[Entry] = []
        room = self._piece_bytes
        for entry in entries:
            batch.append(entry)
            room -= len(entry.payload)
            if room <= 0:
                yield batch
                batch, room = [], self._piece_bytes
        if batch:
            yield batch

    def _is_whole_lines(self, batch: list[Entry], joined: bytes) -> bool:
        """Whether each entry is exactly one ordinary line, as nearly always."""
        return (
            joined.count(b"\n") == len(batch)
            and b"\r" not in joined
            and not any(assembler.raw_pending_bytes for assembler in self._assemblers.values())
            and all(payload.endswith(b"\n") for _, _, payload in batch)
            and (len(joined) <= LINE_LIMIT_BYTES or max(len(entry.payload) for entry in batch) <= LINE_LIMIT_BYTES)
            and all(stream != "winslow" for stream, _, _ in batch)
        )

    def _read_again(self, first_line: int) -> None:
        """Bring the state from the checkpoint up to the last line stored."""
        with Cursor(self._files, first_line) as cursor:
            for first, stored in cursor.blocks():
                number = first
                for ours, lines in _runs(stored):
                    self._recall(lines, number, ours=ours)
                    number += len(lines)

    def _recall(self, lines: list[bytes], number: int, *, ours: bool) -> None:
        text = b"\n".join([line[TEXT_OFFSET:] for line in lines]) + b"\n"
        self._last_ns = parse_stamp(lines[-1][:STAMP_BYTES])
        self._size_bytes += len(text)
        for letter, count in Counter([line[LETTER] for line in lines]).items():
            self._skips[STREAMS[letter]] += count
        if not ours:
            self._matcher.feed(text, number, self._last_ns)

    def _sources(self) -> dict[Stream, StreamPoint]:
        return {
            stream: StreamPoint(offset_bytes=self._offsets[stream], skip_lines=self._skips[stream])
            for stream in LETTERS
        }

    def _stored_since(self, since_ns: int) -> Counter[int]:
        """How many stored lines carry each stamp from `since_ns` on."""
        since = stamp(since_ns)
        counts: Counter[int] = Counter()
        self._segments.settle()
        for segment in reversed(segments(self._files.names())):
            if segment.suffix == LEFT_OUT:
                continue
            with content(self._files, segment) as text:
                lines = [line for block in blocks(text) for line in block[:-1].split(b"\n")]
            recent = [line[:STAMP_BYTES] for line in lines if line >= since and line[LETTER] != LETTERS["winslow"]]
            counts.update(map(parse_stamp, recent))
            if lines and lines[0] < since:
                break
        return counts


def _runs(stored: bytes) -> Iterator[tuple[bool, list[bytes]]]:
    """Stored lines in runs, each with whether they are the log's own words, from which no rule reads."""
    lines = stored[:-1].split(b"\n")
    if b"Z W " not in stored:
        yield False, lines
        return
    for ours, run in itertools.groupby(lines, key=lambda line: line[LETTER] == LETTERS["winslow"]):
        yield ours, list(run)
