"""Reads a log line by line while it is being written, compressed and trimmed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple, Self

from winslow_dagster.stages.log.lines import STAMP_BYTES, omitted_text, parse_stamp, stamped
from winslow_dagster.stages.log.segments import LEFT_OUT, OPEN, Files, Segment, blocks, content, segments

LOOKS_AT_A_GAP: Final = 3
"""Listing a large directory is not atomic: a file that was just renamed may be missing, so list again."""


class Block(NamedTuple):
    """Whole stored lines, the first of them numbered `first_line`."""

    first_line: int
    stored: bytes


class Cursor:
    """A position in a log. `blocks` yields what is new; call it again later for more.

    The position is a line number, so that changes of the files cannot lose it. One line of the stream `winslow` stands
    for lines that were dropped before they were read.
    """

    def __init__(self, files: Files, next_line: int = 1) -> None:
        self._files = files
        self.next_line = next_line
        self._text: BinaryIO | None = None
        self._segment = Segment(0, OPEN)
        self._offset = 0  # in the text, of the line numbered self._line
        self._line = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the open file."""
        if self._text is not None:
            self._text.close()
            self._text = None

    def blocks(self) -> Iterator[Block]:
        """Everything from the position to the current end."""
        looks = 0
        while True:
            existing = segments(self._files.names())
            held = [segment for segment in existing if segment.first_line <= self.next_line]
            ahead = [segment for segment in existing if segment.first_line > self.next_line]
            try:
                if held and held[-1].suffix != LEFT_OUT:
                    yield from self._read(held[-1])
                if not ahead:
                    return
                if self.next_line < ahead[0].first_line:
                    marked = bool(held) and held[-1].suffix == LEFT_OUT
                    looks += 1
                    if marked or looks > LOOKS_AT_A_GAP:
                        yield self._gap(held[-1] if marked else None, ahead[0].first_line)
                        looks = 0
            except FileNotFoundError:  # compressed or dropped since it was listed: list again
                continue

    def _read(self, segment: Segment) -> Iterator[Block]:
        if self._text is None or self._segment.first_line != segment.first_line:
            self.close()
            self._text = content(self._files, segment)
            self._segment, self._offset, self._line = segment, 0, segment.first_line
        elif self._segment.suffix == OPEN:
            self._text.seek(self._offset)
        for stored in blocks(self._text):
            first, lines = self._line, stored.count(b"\n")
            self._offset += len(stored)
            self._line += lines
            if self._line <= self.next_line:
                continue
            known = max(0, self.next_line - first)
            self.next_line = self._line
            yield Block(first + known, stored.split(b"\n", known)[known] if known else stored)

    def _gap(self, mark: Segment | None, following: int) -> Block:
        at_ns = time.time_ns()
        if mark is not None:
            with self._files.open(mark.name) as file:
                at_ns = parse_stamp(file.read(STAMP_BYTES))
        first, self.next_line = self.next_line, following
        return Block(first, stamped(f"{omitted_text(first, following - 1)}\n".encode(), "winslow", at_ns))
