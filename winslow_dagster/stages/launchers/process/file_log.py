"""Copies a process's output files into the stage's log, and frees the disk space of what was copied."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from winslow_dagster.stages.log import LogWriter, Stream
from winslow_dagster.stages.log.checkpoint import Checkpoint

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
CHUNK_BYTES = 1024 * 1024
LOOK_AGAIN_S = 0.1
FREE_EVERY_BYTES = 16 * 1024 * 1024
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


def follow_files(home: Path, log: Path, writer: LogWriter, ended: threading.Event, stop: threading.Event) -> str:
    """Copy `home/stdout` and `home/stderr` as they grow, up to their ends once `ended` is set.

    `log` is the writer's directory. Returns why the end is missing, or an empty text. Raises OSError if the log cannot
    be written.
    """
    tails = [Tail(home / stream, stream, log, writer) for stream in STREAMS]
    try:
        while not stop.is_set():
            last_look = ended.is_set()
            grown = [tail.read_on() for tail in tails]
            if any(grown):
                continue
            if last_look:
                return ""
            ended.wait(LOOK_AGAIN_S)
        return "reading was stopped"
    finally:
        for tail in tails:
            tail.close()


class Tail:
    """One stream's file, read from the position that the log has reached."""

    def __init__(self, path: Path, stream: Stream, log: Path, writer: LogWriter) -> None:
        self._stream = stream
        self._log = log
        self._writer = writer
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        point = writer.resume_point().sources.get(stream)
        self._offset = self._after_lines(point.offset_bytes, point.skip_lines) if point else 0
        self._freed = self._checked_at = 0
        writer.source_at(stream, self._offset)

    def read_on(self) -> bool:
        """Copy the next chunk. Returns False if there was none."""
        chunk = os.pread(self._file, CHUNK_BYTES, self._offset)
        if not chunk:
            return False
        self._writer.write(self._stream, chunk)
        self._offset += len(chunk)
        self._free_space()
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _after_lines(self, offset: int, lines: int) -> int:
        """The offset after `lines` lines that begin at `offset`."""
        while lines:
            chunk = os.pread(self._file, CHUNK_BYTES, offset)
            if not chunk:
                return offset
            count = chunk.count(b"\n")
            if count <= lines:
                lines -= count
                offset += len(chunk) if lines else chunk.rindex(b"\n") + 1
                continue
            end = 0
            for _ in range(lines):
                end = chunk.index(b"\n", end) + 1
            return offset + end
        return offset

    def _free_space(self) -> None:
        """Punch a hole where no runner will read again: a verbose stage must not fill the disk twice."""
        if self._offset - self._checked_at < FREE_EVERY_BYTES:
            return
        self._checked_at = self._offset
        checkpoint = Checkpoint.read(self._log)
        point = checkpoint.sources.get(self._stream) if checkpoint else None
        if point is None or point.offset_bytes <= self._freed:
            return
        length = ctypes.c_int64(point.offset_bytes - self._freed)
        hole = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
        # On a file system without holes the call fails, and the space stays in use.
        ctypes.CDLL(None).fallocate(self._file, hole, ctypes.c_int64(self._freed), length)
        self._freed = point.offset_bytes
