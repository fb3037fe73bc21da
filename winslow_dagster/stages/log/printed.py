"""The whole text of a log that has ended: its size is known without reading it, and it is read from any byte on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import zstandard

from winslow_dagster.errors import StoreError
from winslow_dagster.stages.log.lines import TEXT_OFFSET, omitted_text
from winslow_dagster.stages.log.segments import COMPRESSED, LEFT_OUT, Files, Segment, blocks, content, segments


class Part(NamedTuple):
    """What one file of the log adds to the text: the bytes from `begin` to before `end`."""

    segment: Segment
    begin: int
    end: int
    following: int
    """The number of the line after it."""


class PrintedText:
    """The lines as the stage printed them, each with a line feed. One line stands for lines that were dropped."""

    def __init__(self, files: Files, lines: int) -> None:
        self._files = files
        self._parts = tuple(_parts(files, lines))
        self.size_bytes = self._parts[-1].end if self._parts else 0

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """The bytes from `begin` to before `end`. Raises StoreError if a file of the log is not what it was."""
        first = max(0, bisect_right(self._parts, begin, key=lambda part: part.begin) - 1)
        for part in self._parts[first:]:
            if part.begin >= end:
                return
            at = part.begin
            for piece in self._texts(part):
                wanted = piece[max(0, begin - at) : max(0, end - at)]
                if wanted:
                    yield wanted
                at += len(piece)
                if at >= end:
                    break
            if at < min(part.end, end) or at > part.end:
                raise StoreError("a part of the log is not as long as it was", where=part.segment.name)

    def _texts(self, part: Part) -> Iterator[bytes]:
        if part.segment.suffix == LEFT_OUT:
            yield _omitted(part.segment.first_line, part.following)
            return
        with content(self._files, part.segment) as text:
            yield from map(printed, blocks(text))


def printed(stored: bytes) -> bytes:
    """The texts of whole stored lines."""
    return b"\n".join([line[TEXT_OFFSET:] for line in stored.split(b"\n")])


def _parts(files: Files, lines: int) -> Iterator[Part]:
    existing, begin = segments(files.names()), 0
    following = [each.first_line for each in existing[1:]] + [lines + 1]
    for segment, next_line in zip(existing, following, strict=True):
        if segment.suffix == LEFT_OUT:
            size_bytes = len(_omitted(segment.first_line, next_line))
        else:
            size_bytes = _stored_bytes(files, segment) - TEXT_OFFSET * (next_line - segment.first_line)
        yield Part(segment, begin, begin + size_bytes, next_line)
        begin += size_bytes


def _stored_bytes(files: Files, segment: Segment) -> int:
    """The size of a segment's lines. A compressed one says it at its beginning."""
    head, size_bytes = files.head(segment.name)
    if segment.suffix != COMPRESSED:
        return size_bytes
    try:
        return int(zstandard.frame_content_size(head))
    except zstandard.ZstdError as error:
        raise StoreError("it is no compressed part of a log", where=segment.name) from error


def _omitted(first_line: int, following: int) -> bytes:
    return f"{omitted_text(first_line, following - 1)}\n".encode()
