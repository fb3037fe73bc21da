"""Writes the live log of one stage attempt and applies its rules."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from winslow_dagster.pipelines.model.stage_rules import LogRules
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
    runs,
    stamp_of_second,
    stamped,
)
from winslow_dagster.stages.log.mask import SecretMask
from winslow_dagster.stages.log.resume import SLACK_NS, Entry, ResumePoint, StoredLines
from winslow_dagster.stages.log.rules import RuleMatcher
from winslow_dagster.stages.log.segment_writer import SegmentWriter
from winslow_dagster.stages.log.segments import Directory
from winslow_dagster.stages.task.model import LogSummary

SEGMENT_BYTES: Final = 8 * 2**20
LIMIT_BYTES: Final = 512 * 2**20

GROWTH: Final = TEXT_OFFSET + 1
"""The factor by which a text of line feeds grows with timestamps."""


class LogWriter:
    """The only writer of the log in `directory`. Continues where a killed writer stopped.

    When `write` returns, the data are in the file, except an incomplete line, which is read from its source again after
    a crash. Memory stays within a few times the size of a segment. Thread-safe. Raises PipelineInvalid for a malformed
    rule, and OSError if the disk fails: then call `reopen`, or create another writer later.
    """

    def __init__(
        self,
        directory: Path,
        rules: LogRules,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        limit_bytes: int = LIMIT_BYTES,
        mask: SecretMask | None = None,
    ) -> None:
        self._mask = mask or SecretMask()
        self._directory = directory
        self._files = Directory(directory)
        self._rules = rules
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        """Take over the directory, and go on after its last whole line."""
        directory = self._directory
        self._segments = SegmentWriter(directory, segment_bytes=self._segment_bytes, limit_bytes=self._limit_bytes)
        self._released = False
        self._piece_bytes = max(1, self._segments.segment_bytes // GROWTH)
        self._assemblers: dict[Stream, LineAssembler] = {stream: LineAssembler() for stream in LETTERS}
        checkpoint = Checkpoint.read(directory)
        if checkpoint is None or checkpoint.lines >= self._segments.next_line:
            # Missing, or newer than the segments on disk because the machine crashed.
            checkpoint = Checkpoint()
        self._size_bytes = checkpoint.size_bytes
        self._last_ns = checkpoint.last_ns  # of the last line of the stage; lines of the stream `winslow` do not count
        self._open_ns = dict(checkpoint.open_ns)  # of incomplete lines: their first timestamp
        self._pending_ns: dict[Stream, int] = {}  # of incomplete lines in memory: their last timestamp
        self._remembered_open: dict[Stream, int] = {}  # the part of `_open_ns` that is in the checkpoint
        self._forgets: set[Stream] = set()  # streams whose incomplete line will be sent again
        self._offsets = {stream: checkpoint.source(stream).offset_bytes for stream in LETTERS}  # of the next line
        self._skips = {stream: checkpoint.source(stream).skip_lines for stream in LETTERS}
        self._matcher = RuleMatcher(self._rules, checkpoint.matcher)
        self._read_again(checkpoint.lines + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def write(self, stream: Stream, data: bytes, at: datetime | int | None = None) -> None:
        """Take the next chunk of a stream, cut anywhere, that arrived at `at` (int: nanoseconds; None: now).

        The stream `winslow` is for messages of the runner; rules are not applied to it.
        """
        at_ns = nanoseconds(at)
        with self._lock:
            for start in range(0, len(data), self._piece_bytes):
                piece = data[start : start + self._piece_bytes]
                self._store_piece(stream, piece, at_ns)

    def note(self, text: str) -> None:
        """Write a line of the runner itself."""
        self.write("winslow", f"{text}\n".encode())

    def write_entries(self, entries: Iterable[Entry]) -> None:
        """Take pieces with a time each. Many at once are much faster than one by one."""
        with self._lock:
            for batch in self._batches(entries):
                self._remember_open_lines(batch[-1].at_ns)
                joined = b"".join([payload for _, _, payload in batch])
                if self._is_whole_lines(batch, joined):
                    block = b"".join(
                        [
                            b"%b%09dZ %b %b"
                            % (stamp_of_second(at_ns // NS_PER_S), at_ns % NS_PER_S, LETTERS[stream], payload)
                            for stream, at_ns, payload in batch
                        ]
                    )
                    first = self._append(block, len(batch), len(joined))
                    self._last_ns = batch[-1].at_ns
                    self._matcher.feed(joined, first, self._last_ns)
                else:
                    for stream, at_ns, payload in batch:
                        self._store_piece(stream, payload, at_ns)

    def summary(self, now: datetime | int | None = None) -> LogSummary:
        """What the rules found so far, with elapsed and remaining times as of `now`."""
        with self._lock:
            return self._matcher.summary(self._segments.next_line - 1, self._size_bytes, nanoseconds(now))

    def resume_point(self) -> ResumePoint:
        """Where sources continue with the next write. An incomplete line must be sent again from its beginning."""
        with self._lock:
            self._segments.finalize()  # no file must change its name while lines are counted
            self._forgets.update(self._pending_ns)
            from_ns = _whole_second(self._last_ns - SLACK_NS)
            return ResumePoint(
                line=self._segments.next_line - 1,
                at_ns=max([self._last_ns, *self._pending_ns.values()]),
                since_ns=_whole_second(min([from_ns, *self._open_ns.values()])),
                stored=StoredLines.read(self._files, from_ns, dict(self._open_ns)),
                sources=self._sources(),
            )

    def source_at(self, stream: Stream, offset_bytes: int) -> None:
        """Set the offset in its source of what is written next to a stream."""
        with self._lock:
            self._offsets[stream] = offset_bytes
            self._skips[stream] = 0

    def close(self) -> None:
        """End the log: complete pending lines, compress everything, and mark the log as ended for readers.

        Does nothing if the writer has released the log already.
        """
        with self._lock:
            if self._released:
                return
            for stream in sorted(self._assemblers, key=lambda each: self._pending_ns.get(each, 0)):
                assembler = self._assemblers[stream]
                pending_bytes = assembler.raw_pending_bytes
                self._store(assembler.end(), stream, self._pending_ns.pop(stream, self._last_ns))
                self._offsets[stream] += pending_bytes
            self._open_ns.clear()
            self._segments.close()
            self._save(closed=True)
            self._released = True

    def abandon(self) -> None:
        """Release the directory without ending the log: another writer will continue it."""
        with self._lock:
            self._segments.abandon()
            self._released = True

    def reopen(self) -> None:
        """Go on after an OSError, as another writer would: sources continue at the new `resume_point`."""
        with self._lock:
            self._segments.abandon()
            self._open()

    def _store_piece(self, stream: Stream, piece: bytes, at_ns: int) -> None:
        if stream in self._forgets:
            self._forgets.discard(stream)
            self._assemblers[stream] = LineAssembler()
        assembler = self._assemblers[stream]
        begun_bytes = assembler.raw_pending_bytes
        done = assembler.feed(piece)
        if not assembler.raw_pending_bytes:
            self._open_ns.pop(stream, None)
            self._pending_ns.pop(stream, None)
        else:
            if done.lines or not begun_bytes:
                self._open_ns[stream] = at_ns
            self._pending_ns[stream] = at_ns
        self._store(done, stream, at_ns)
        self._offsets[stream] += begun_bytes + len(piece) - assembler.raw_pending_bytes

    def _remember_open_lines(self, now_ns: int) -> None:
        """Save the timestamps of lines that stay incomplete, such as a progress bar of hours, for a restart."""
        waiting = {stream: began_ns for stream, began_ns in self._open_ns.items() if now_ns - began_ns > SLACK_NS // 2}
        if waiting and waiting != self._remembered_open:
            self._remembered_open = waiting
            self._save(closed=False)

    def _store(self, assembled: Assembled, stream: Stream, at_ns: int) -> None:
        done = Assembled(*map(self._mask.masked, assembled))
        first = 0
        if done.lines:
            block = stamped(done.lines, stream, at_ns)
            first = self._append(block, done.lines.count(b"\n"), len(done.lines))
        if stream != "winslow":
            self._last_ns = at_ns if done.lines else self._last_ns
            self._matcher.feed(done.lines, first, at_ns, done.updates)

    def _append(self, block: bytes, lines: int, size_bytes: int) -> int:
        """Store whole lines. Returns the number of the first."""
        if self._segments.must_rotate(block):
            self._segments.rotate()
            self._save(closed=False)
        first = self._segments.append(block, lines)
        self._size_bytes += size_bytes
        return first

    def _save(self, *, closed: bool) -> None:
        Checkpoint(
            closed=closed,
            lines=self._segments.next_line - 1,
            size_bytes=self._size_bytes,
            last_ns=self._last_ns,
            sources=self._sources(),
            open_ns=self._open_ns,
            matcher=self._matcher.kept_state(),
        ).write(self._directory)

    def _batches(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """The entries in batches that fit into a segment with their timestamps."""
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
        """Whether each entry is exactly one ordinary line, the most frequent case."""
        return (
            joined.count(b"\n") == len(batch)
            and b"\r" not in joined
            and not any(assembler.raw_pending_bytes for assembler in self._assemblers.values())
            and all(payload.endswith(b"\n") for _, _, payload in batch)
            and not self._mask.finds(joined)
            and (len(joined) <= LINE_LIMIT_BYTES or max(len(entry.payload) for entry in batch) <= LINE_LIMIT_BYTES)
            and all(stream != "winslow" for stream, _, _ in batch)
        )

    def _read_again(self, first_line: int) -> None:
        """Update the checkpoint's state from the lines stored since."""
        with Cursor(self._files, first_line) as cursor:
            for first, stored in cursor.blocks():
                number = first
                for ours, lines in runs(stored):
                    self._recall(lines, number, ours=ours)
                    number += len(lines)

    def _recall(self, lines: list[bytes], number: int, *, ours: bool) -> None:
        text = b"\n".join([line[TEXT_OFFSET:] for line in lines]) + b"\n"
        self._size_bytes += len(text)
        for letter, count in Counter([line[LETTER] for line in lines]).items():
            self._skips[STREAMS[letter]] += count
            self._open_ns.pop(STREAMS[letter], None)
        if not ours:
            self._last_ns = parse_stamp(lines[-1][:STAMP_BYTES])
            self._matcher.feed(text, number, self._last_ns)

    def _sources(self) -> dict[Stream, StreamPoint]:
        return {
            stream: StreamPoint(offset_bytes=self._offsets[stream], skip_lines=self._skips[stream])
            for stream in LETTERS
        }


def _whole_second(at_ns: int) -> int:
    return max(0, at_ns) // NS_PER_S * NS_PER_S
