"""Writes segments: appends, rotates, compresses closed segments, drops the middle of a log that grows too large."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import zstandard

from winslow_dagster.stages.log.lines import omitted_text, stamped
from winslow_dagster.stages.log.segments import (
    BLOCK_BYTES,
    COMPRESSED,
    LEFT_OUT,
    OPEN,
    UNFINISHED,
    Directory,
    Segment,
    blocks,
    content,
    segments,
)

COMPRESSION_LEVEL: Final = 3
WORTH_COMPRESSING_BYTES: Final = 65_536
"""A smaller last segment is not compressed: waiting for the disk would dominate the cost of a short stage's log."""

COMPRESSIONS_WAITING: Final = 2
"""With more closed segments than this the writer waits, so that they cannot pile up on a slow disk."""

HEAD_SHARE: Final = 4
"""One in this many parts of the limit is for the beginning of the log, the rest for its end."""

SEGMENTS_IN_LIMIT: Final = 8
"""The minimum number of segments in the limit; the segment size is reduced if necessary."""


class SegmentWriter:
    """The only writer of a log directory. After an OSError it must not be used: create a new one for the directory.

    The limit always holds for all files except the checkpoint, including the copy during compression.
    """

    def __init__(self, directory: Path, *, segment_bytes: int, limit_bytes: int) -> None:
        self.segment_bytes = max(1, min(segment_bytes, limit_bytes // SEGMENTS_IN_LIMIT))
        self._limit_bytes = limit_bytes
        self._path = directory
        self._files = Directory(directory)
        self._compressor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-compression")
        self._compressing: deque[tuple[int, Future[int]]] = deque()
        self._sizes: dict[int, int] = {}  # closed segments: first line -> bytes on disk
        self._closed_bytes = 0  # their sum, with the copies that compression is making
        self._file: int | None = None
        self._live_first = 1
        self._live_bytes = 0
        self.next_line = 1
        directory.mkdir(parents=True, exist_ok=True)
        self._take_over()

    def must_rotate(self, block: bytes) -> bool:
        """Whether the block needs a new segment: then call `rotate` first."""
        return bool(self._live_bytes) and self._live_bytes + len(block) > self.segment_bytes

    def append(self, block: bytes, lines: int) -> int:
        """Store whole lines. Returns the number of the first."""
        self._make_room(len(block))
        if self._file is None:
            self._live_first = self.next_line
            path = self._path / Segment(self._live_first, OPEN).name
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        view = memoryview(block)
        while view:
            view = view[os.write(self._file, view) :]
        self._live_bytes += len(block)
        first = self.next_line
        self.next_line += lines
        return first

    def rotate(self) -> None:
        """Close the current segment and start its compression."""
        if self._file is None:
            return
        self._make_room(self._live_bytes)
        os.close(self._file)
        self._file = None
        self._compress(self._live_first, self._live_bytes)
        self._live_bytes = 0

    def finalize(self) -> None:
        """Wait until all closed segments are compressed: then no file changes its name."""
        self._collect(waiting=0)

    def close(self) -> None:
        """Close and compress everything, except that a short log stays plain text."""
        if self._live_bytes >= WORTH_COMPRESSING_BYTES:
            self.rotate()
        self.finalize()
        self.abandon()

    def abandon(self) -> None:
        """Release the directory as a crash would, so that another writer can take over."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._compressor.shutdown(cancel_futures=True)

    def _take_over(self) -> None:
        """Complete what a killed writer left unfinished."""
        names = set(self._files.names())
        for name in names:
            if name.endswith(UNFINISHED):
                (self._path / name).unlink()
        existing = segments(list(names))
        for segment in existing:
            if segment.suffix == COMPRESSED and Segment(segment.first_line, OPEN).name in names:
                (self._path / Segment(segment.first_line, OPEN).name).unlink()
            if segment.suffix != LEFT_OUT and Segment(segment.first_line, LEFT_OUT).name in names:
                (self._path / Segment(segment.first_line, LEFT_OUT).name).unlink()
        if existing:
            self._go_on_in(existing[-1])
        for segment, following in itertools.pairwise(existing):
            size_bytes = (self._path / segment.name).stat().st_size
            if segment.suffix == LEFT_OUT:
                self._mark(segment.first_line, following.first_line - 1)
            elif segment.suffix == OPEN:
                self._compress(segment.first_line, size_bytes)
            else:
                self._note_size(segment.first_line, size_bytes)

    def _go_on_in(self, last: Segment) -> None:
        with content(self._files, last) as text:
            whole = [(block.count(b"\n"), len(block)) for block in blocks(text)]
        self.next_line = last.first_line + sum(lines for lines, _ in whole)
        path = self._path / last.name
        if last.suffix != OPEN:
            self._note_size(last.first_line, path.stat().st_size)
            return
        self._live_first = last.first_line
        self._live_bytes = sum(size_bytes for _, size_bytes in whole)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(self._file, self._live_bytes)  # an incomplete line is read from its source again

    def _note_size(self, first_line: int, size_bytes: int) -> None:
        self._sizes[first_line] = size_bytes
        self._closed_bytes += size_bytes

    def _compress(self, first_line: int, size_bytes: int) -> None:
        self._collect(waiting=COMPRESSIONS_WAITING)
        self._note_size(first_line, size_bytes)
        self._closed_bytes += size_bytes  # the copy
        self._compressing.append((first_line, self._compressor.submit(_compressed, self._path, first_line)))

    def _collect(self, waiting: int) -> None:
        """Record the sizes of compressed segments; wait until at most `waiting` compressions remain."""
        while self._compressing and (len(self._compressing) > waiting or self._compressing[0][1].done()):
            first_line, size_bytes = self._compressing.popleft()
            self._closed_bytes -= 2 * self._sizes[first_line]
            self._note_size(first_line, size_bytes.result())

    def _make_room(self, size_bytes: int) -> None:
        def enough() -> bool:
            return self._closed_bytes + self._live_bytes + size_bytes <= self._limit_bytes

        if not enough():
            self._collect(waiting=0)
        while not enough() and self._drop_one():
            pass

    def _drop_one(self) -> bool:
        """Drop the oldest segment after the head. Returns False if there is none."""
        head_bytes = 0
        for place, first_line in enumerate(sorted(self._sizes)):
            head_bytes += self._sizes[first_line]
            if place and head_bytes > self._limit_bytes // HEAD_SHARE:
                break
        else:
            return False
        following = min(first for first in [*self._sizes, self._end_of_closed()] if first > first_line)
        existing = segments(self._files.names())
        marks = [segment.first_line for segment in existing if segment.suffix == LEFT_OUT]
        self._mark(min([*marks, first_line]), following - 1)
        (self._path / Segment(first_line, COMPRESSED).name).unlink()
        self._closed_bytes -= self._sizes.pop(first_line)
        return True

    def _end_of_closed(self) -> int:
        """The number of the line after the closed segments."""
        return self.next_line if self._file is None else self._live_first

    def _mark(self, first_line: int, last_line: int) -> None:
        """Record dropped lines before they are dropped, so that readers never find an unexplained gap."""
        path = self._path / Segment(first_line, LEFT_OUT).name
        unfinished = path.with_name(path.name + UNFINISHED)
        unfinished.write_bytes(stamped(f"{omitted_text(first_line, last_line)}\n".encode(), "winslow", time.time_ns()))
        unfinished.replace(path)


def _compressed(directory: Path, first_line: int) -> int:
    """Compress one closed segment. Returns its new size. A crash at any point leaves a readable log."""
    source = directory / Segment(first_line, OPEN).name
    target = directory / Segment(first_line, COMPRESSED).name
    unfinished = target.with_name(target.name + UNFINISHED)
    with source.open("rb") as text, unfinished.open("wb") as file:
        compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
        compressor.copy_stream(text, file, size=source.stat().st_size, read_size=BLOCK_BYTES)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    source.unlink()
    return target.stat().st_size
