"""Assembles whole lines from the chunks of one stream."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LINE_LIMIT_BYTES: Final = 65_536
"""A longer line is cut and marked, so that one line of the stage remains one line of the log."""

TOO_LONG: Final = re.compile(rb"(?m)^[^\n]{%d}" % (LINE_LIMIT_BYTES + 1))


class Assembled(NamedTuple):
    """What a chunk completed.

    `lines` are stored; progress is read from `updates`: the same, or all states of lines that carriage returns redraw.
    Both are whole lines, each with its line feed.
    """

    lines: bytes
    updates: bytes


class LineAssembler:
    r"""Collects the chunks of one stream. Holds at most one line, cut at LINE_LIMIT_BYTES.

    A carriage return restarts the line, as on a terminal: of `10%\r20%\r30%\n` the line `30%` is stored, and all three
    are updates. Carriage returns right before the line feed belong to the line ending.
    """

    def __init__(self) -> None:
        self._head = b""
        self._returned = False  # the pending line ends with a carriage return
        self._cut_bytes = 0  # of the pending line, beyond its head
        self.raw_pending_bytes = 0  # bytes of the source since the last line feed

    def feed(self, data: bytes) -> Assembled:
        """Take the next chunk."""
        end = data.rfind(b"\n") + 1
        self.raw_pending_bytes = len(data) - end if end else self.raw_pending_bytes + len(data)
        if self._returned or self._cut_bytes or b"\r" in data:
            return self._feed_carefully(data)
        if not end:
            if len(self._head) + len(data) > LINE_LIMIT_BYTES:
                return self._feed_carefully(data)
            self._head += data
            return Assembled(b"", b"")
        lines = self._head + data[:end]
        too_long = len(lines) > LINE_LIMIT_BYTES and TOO_LONG.search(lines)
        if too_long or len(data) - end > LINE_LIMIT_BYTES:
            return self._feed_carefully(data)
        self._head = data[end:]
        return Assembled(lines, lines)

    def end(self) -> Assembled:
        """Complete the pending line although no line feed followed."""
        if not (self._head or self._returned or self._cut_bytes):
            return Assembled(b"", b"")
        return self.feed(b"\n")

    def _feed_carefully(self, data: bytes) -> Assembled:
        *complete, rest = data.split(b"\n")
        lines: list[bytes] = []
        updates: list[bytes] = []
        for part in complete:
            self._extend(part, updates)
            if not self._returned:
                updates.append(self._head)
            lines.append(self._take())
        self._extend(rest, updates)
        return Assembled(_joined(lines), _joined(updates))

    def _extend(self, part: bytes, updates: list[bytes]) -> None:
        """Add a part of a line; append to `updates` the states that a carriage return completed."""
        first, *others = part.split(b"\r")
        self._add(first)
        for state in others:
            if not self._returned:
                updates.append(self._head)
            self._returned = True
            self._add(state)

    def _add(self, state: bytes) -> None:
        if state and self._returned:
            self._restart()
        room = LINE_LIMIT_BYTES - len(self._head)
        self._head += state[:room]
        self._cut_bytes += max(0, len(state) - room)

    def _restart(self) -> None:
        self._head = b""
        self._cut_bytes = 0
        self._returned = False

    def _take(self) -> bytes:
        line = self._head
        if self._cut_bytes:
            line += f" … [{self._cut_bytes:,} more bytes of this line omitted]".encode()
        self._restart()
        return line


def _joined(lines: list[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n" if lines else b""
