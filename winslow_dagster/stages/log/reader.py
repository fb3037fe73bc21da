"""Reads a log, complete or still being written, on this node or in the store."""

from __future__ import annotations

import io
import itertools
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.log.checkpoint import Checkpoint
from winslow_dagster.stages.log.cursor import Cursor
from winslow_dagster.stages.log.density import Density
from winslow_dagster.stages.log.lines import (
    LETTER,
    LETTERS,
    STAMP_BYTES,
    TEXT_OFFSET,
    LogLine,
    Stream,
    parsed,
    runs,
    stamp,
)
from winslow_dagster.stages.log.patterns import LinePattern
from winslow_dagster.stages.log.printed import PrintedText, printed
from winslow_dagster.stages.log.rules import RuleMatcher
from winslow_dagster.stages.log.segments import (
    CHECKPOINT,
    HEAD_BYTES,
    LEFT_OUT,
    Directory,
    Files,
    blocks,
    content,
    segments,
)
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store

POLL_S: Final = 0.2
"""How often to poll a followed log. Polling, because inotify does not see writes of other machines on a network file
system.
"""

ALL: Final[frozenset[Stream]] = frozenset(LETTERS)


class StoredFiles:
    """The files of a complete log in a remote store. A segment is fetched as a whole when it is read."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        self._entries = {entry.path: entry for entry in manifest.files}

    def names(self) -> list[str]:
        """The names of all files."""
        return list(self._entries)

    def open(self, name: str) -> BinaryIO:
        """One file. Raises StoreError."""
        entry = self._entries.get(name)
        if entry is None:
            raise FileNotFoundError(f"{self._manifest.address}/{name}")
        return io.BytesIO(self._store.read_range(self._manifest, entry, 0, entry.size_bytes))

    def head(self, name: str) -> tuple[bytes, int]:
        """The first bytes of a file, and its size. Raises StoreError."""
        entry = self._entries[name]
        read = self._store.read_range(self._manifest, entry, 0, min(HEAD_BYTES, entry.size_bytes))
        return read, entry.size_bytes


@dataclass(frozen=True, slots=True)
class LogWindow:
    """Part of a log. `next_line` is where to read on; `ended`: the log is complete, and this is its end."""

    lines: tuple[LogLine, ...]
    next_line: int
    ended: bool


class LogReader:
    """Reads the log in a directory, also while it is being written. A log that does not exist yet is empty."""

    def __init__(self, source: Path | Files) -> None:
        self.files: Files = Directory(source) if isinstance(source, Path) else source

    @classmethod
    def stored(cls, store: Store, manifest: Manifest) -> Self:
        """The reader of a complete log in the store."""
        local = store.read_only_path(manifest)
        return cls(StoredFiles(store, manifest) if local is None else local)

    @property
    def ended(self) -> bool:
        """Whether the log is complete: its writer closed it."""
        return self._checkpoint().closed

    def _checkpoint(self) -> Checkpoint:
        try:
            with self.files.open(CHECKPOINT) as file:
                return Checkpoint.model_validate_json(file.read())
        except FileNotFoundError:
            return Checkpoint()

    def density(self, rules: LogRules) -> Density:
        """Where the errors and warnings are. The writer has counted them: at most one segment is searched again."""
        checkpoint = self._checkpoint()
        matcher = RuleMatcher(rules.model_copy(update={"progress": ()}), checkpoint.matcher)
        if not checkpoint.closed:
            with Cursor(self.files, checkpoint.lines + 1) as cursor:
                for first, stored in cursor.blocks():
                    number = first
                    for ours, lines in runs(stored):
                        if not ours:
                            text = b"\n".join([line[TEXT_OFFSET:] for line in lines]) + b"\n"
                            matcher.feed(text, number, 0)
                        number += len(lines)
        return matcher.state.density

    def last_number(self) -> int:
        """The number of the last whole line; 0 for an empty log."""
        checkpoint = self._checkpoint()
        if checkpoint.closed:
            return checkpoint.lines
        while True:
            existing = segments(self.files.names())
            if not existing:
                return 0
            try:
                with content(self.files, existing[-1]) as text:
                    return existing[-1].first_line - 1 + sum(block.count(b"\n") for block in blocks(text))
            except FileNotFoundError:  # compressed since it was listed: list again
                continue

    def omitted(self) -> tuple[int, int] | None:
        """The first and the last of the lines that were dropped to keep the log within its limit."""
        for segment, following in itertools.pairwise(segments(self.files.names())):
            if segment.suffix == LEFT_OUT:
                return segment.first_line, following.first_line - 1
        return None

    def first_line_since(self, at_ns: int) -> int:
        """The number of the first line that was printed then or later; one more than the last if there is none."""
        since = stamp(at_ns)
        existing = [segment.first_line for segment in segments(self.files.names()) if segment.suffix != LEFT_OUT]
        if not existing:
            return 1
        place = bisect_left(existing, since, key=self._stamp_of)
        with Cursor(self.files, existing[max(0, place - 1)]) as cursor:
            for block in cursor.blocks():
                for number, line in enumerate(block.stored[:-1].split(b"\n"), block.first_line):
                    if line >= since:
                        return number
            return cursor.next_line

    def _stamp_of(self, first_line: int) -> bytes:
        with Cursor(self.files, first_line) as cursor:
            return next((block.stored[:STAMP_BYTES] for block in cursor.blocks()), b"")

    def lines(
        self,
        first: int = 1,
        last: int | None = None,
        streams: Iterable[Stream] = ALL,
        contains: str | None = None,
        grep: str | None = None,
    ) -> Iterator[LogLine]:
        """The lines numbered `first` to `last` (None: to the current end).

        Only lines of `streams` that contain the text `contains` and match the regular expression `grep`. One line of
        the stream `winslow` stands for lines that were dropped. Raises PipelineInvalid for a malformed expression.
        """
        wanted = _Wanted(streams, contains, grep)
        with Cursor(self.files, first) as cursor:
            yield from _numbered_up_to(cursor, wanted, last)

    def printed(self, first: int = 1, last: int | None = None) -> Iterator[bytes]:
        """The same lines as the stage printed them, many at once, each with a line feed."""
        with Cursor(self.files, first) as cursor:
            for block in cursor.blocks():
                if last is None or last >= block.first_line + block.stored.count(b"\n"):
                    yield printed(block.stored)
                    continue
                wanted = b"\n".join(block.stored.split(b"\n")[: max(0, last - block.first_line + 1)])
                if wanted:
                    yield printed(wanted + b"\n")
                return

    def whole_text(self) -> PrintedText | None:
        """All lines of a log that has ended, as one text; None while it may grow."""
        checkpoint = self._checkpoint()
        return PrintedText(self.files, checkpoint.lines) if checkpoint.closed else None

    def window(self, first: int = 1, max_bytes: int = 65536) -> LogWindow:
        """The lines from `first` on whose texts fit into `max_bytes`, and at least one if there is one.

        A place in a log is a line number: byte offsets change when the middle of a large log is dropped.
        """
        ended = self.ended  # read first: what was written before the end is read after it
        lines: list[LogLine] = []
        left_bytes = max_bytes
        for line in self.lines(first):
            left_bytes -= len(line.text.encode()) + 1
            if lines and left_bytes < 0:
                return LogWindow(tuple(lines), line.number, ended=False)
            lines.append(line)
        return LogWindow(tuple(lines), lines[-1].number + 1 if lines else first, ended)

    def tail(self, count: int) -> Iterator[LogLine]:
        """The last `count` lines."""
        last = self.last_number()
        return self.lines(max(1, last - count + 1), last)

    def follow(
        self,
        first: int = 1,
        streams: Iterable[Stream] = ALL,
        contains: str | None = None,
        grep: str | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> Iterator[LogLine]:
        """The lines from `first` on, and new ones until the log has ended or `stop` is set.

        A line appears at most POLL_S after it was written.
        """
        wanted = _Wanted(streams, contains, grep)
        stop = stop or threading.Event()
        with Cursor(self.files, first) as cursor:
            while not stop.is_set():
                ended = self.ended  # checked first: whatever was written before the end is then read
                yield from _numbered_up_to(cursor, wanted, None)
                if ended:
                    return
                stop.wait(POLL_S)


class _Wanted:
    """The filter of a caller. Rejects most lines before they become values."""

    def __init__(self, streams: Iterable[Stream], contains: str | None, grep: str | None) -> None:
        self._letters = b"".join([LETTERS[stream] for stream in streams])
        self._contains = None if contains is None else contains.encode()
        self._grep = None if grep is None else LinePattern(grep)

    def matches(self, line: bytes) -> bool:
        """Whether a stored line is wanted."""
        if line[LETTER] not in self._letters:
            return False
        if self._contains is not None and line.find(self._contains, TEXT_OFFSET) < 0:
            return False
        return self._grep is None or self._grep.search(line[TEXT_OFFSET:]) is not None


def _numbered_up_to(cursor: Cursor, wanted: _Wanted, last: int | None) -> Iterator[LogLine]:
    for block in cursor.blocks():
        for number, line in enumerate(block.stored[:-1].split(b"\n"), block.first_line):
            if last is not None and number > last:
                return
            if wanted.matches(line):
                yield parsed(line, number)
