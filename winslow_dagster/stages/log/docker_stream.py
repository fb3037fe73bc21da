"""Docker's log stream: multiplexed frames of both streams, each line with its timestamp (`timestamps=1`, no TTY)."""

from __future__ import annotations

import struct
from bisect import bisect_left
from datetime import datetime, timedelta
from typing import Final

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.log.lines import EPOCH, NS_PER_S, STAMP_BYTES, Stream, second_of_stamp
from winslow_dagster.stages.log.resume import Entry, StoredLines

HEADER: Final = struct.Struct(">BxxxL")
FRAME_STREAMS: Final[dict[int, Stream]] = {1: "stdout", 2: "stderr"}
SYSTEM_ERROR: Final = 3

FRAME_LIMIT_BYTES: Final = 1_048_576
"""The daemon splits lines at 16 KiB; a longer frame does not belong to a log stream."""

STAMPS_KEPT: Final = 16_384
LINE_FEED: Final = ord("\n")


class DockerLogDemuxer:
    """Splits the stream, which arrives in arbitrary chunks, into frames: stream, timestamp, payload.

    Lines that are `stored` (`ResumePoint.stored`) from an earlier connection are dropped, so that requesting everything
    since `ResumePoint.since_ns` duplicates nothing. Frames that the daemon repeats are dropped as well. Use one demuxer
    per connection. Raises ServiceUnavailable if the daemon reports an error or sends something else.
    """

    def __init__(self, stored: StoredLines | None = None) -> None:
        self._rest = b""
        self._stored = stored
        self._left = dict(stored.counts) if stored else {}  # stored lines that have not been sent again yet
        self._orders = {kind: _Order() for kind in FRAME_STREAMS}

    def feed(self, data: bytes) -> list[Entry]:
        """Take the next chunk. Returns the frames that it completed, in order."""
        data = self._rest + data if self._rest else data
        entries: list[Entry] = []
        add, header, size, point = entries.append, HEADER.unpack_from, len(data), 0
        while size - point >= HEADER.size:
            kind, length = header(data, point)
            begin, end = point + HEADER.size, point + HEADER.size + length
            if kind not in FRAME_STREAMS or length > FRAME_LIMIT_BYTES:
                _refuse(kind, data[begin:end])
            if end > size:
                break
            point = end
            text = begin + STAMP_BYTES + 1
            if data[text - 2 : text] == b"Z ":
                at_ns = second_of_stamp(data[begin : begin + 19]) * NS_PER_S + int(data[begin + 20 : begin + 29])
            else:
                stamp_text, blank, _ = data[begin:end].partition(b" ")
                at_ns, text = _other_stamp(stamp_text), begin + len(stamp_text) + len(blank)
            payload = data[text:end]
            order = self._orders[kind]
            if at_ns <= order.last_ns:
                if order.is_repeated(at_ns, payload):
                    continue
            else:
                if order.is_open:
                    # Frames of one line share a timestamp. The driver `local` omits the line feed of a line that it
                    # split.
                    add(Entry(FRAME_STREAMS[kind], order.last_ns, b"\n"))
                order.advance(at_ns, payload)
            order.is_open = data[end - 1] != LINE_FEED
            add(Entry(FRAME_STREAMS[kind], at_ns, payload))
        self._rest = data[point:]
        if self._stored is None:
            return entries
        stored = self._stored
        return [entry for entry in entries if not self._is_in(stored, entry)]

    def _is_in(self, stored: StoredLines, entry: Entry) -> bool:
        if entry.at_ns < stored.from_ns:
            return stored.open_ns.get(entry.stream) != entry.at_ns
        line = entry.stream, entry.at_ns
        count = self._left.get(line, 0)
        if not count:
            return False
        if entry.payload.endswith(b"\n"):  # a long line has several frames with one timestamp, and is stored as one
            self._left[line] = count - 1
        return True


class _Order:
    """Detects repeated frames of one stream by their timestamps, which never decrease.

    Docker before version 23 repeats a part of the log when a follower reaches a rotated file: what it has sent of that
    file, be it a single line. The daemon takes more than a microsecond for a line, so that a line which equals the one
    before to the nanosecond is that line.
    """

    __slots__ = ("_at_last", "_first_at_last", "_forgot", "_skip", "_stamps", "is_open", "last_ns")

    def __init__(self) -> None:
        self.last_ns = -1
        self.is_open = False  # the last frame did not end its line
        self._at_last = 0  # frames with the last timestamp: one, or the pieces of a long line
        self._first_at_last = b""
        self._skip = 0  # how many of them are still to be repeated
        self._stamps: list[int] = []
        self._forgot = False

    def advance(self, at_ns: int, payload: bytes) -> None:
        """Record a frame that is later than all before."""
        self.last_ns, self._at_last, self._first_at_last, self._skip = at_ns, 1, payload, 0
        self._stamps.append(at_ns)
        if len(self._stamps) > 2 * STAMPS_KEPT:
            del self._stamps[:STAMPS_KEPT]
            self._forgot = True

    def is_repeated(self, at_ns: int, payload: bytes) -> bool:
        """Whether a frame that is not later than the last is a repetition; records it if it is not."""
        if at_ns == self.last_ns:
            if not self._skip and not self.is_open and payload == self._first_at_last:
                self._skip = self._at_last
            if self._skip:
                self._skip -= 1
                return True
            self._at_last += 1
            return False
        place = bisect_left(self._stamps, at_ns)
        if self._stamps[place] == at_ns or (place == 0 and self._forgot):
            self._skip = self._at_last
            return True
        self._stamps.clear()  # the clock was set back
        self._forgot = False
        self.advance(at_ns, payload)
        return False


def _other_stamp(text: bytes) -> int:
    """Parse RFC 3339 with an offset or with fewer digits, as other versions of the daemon send it."""
    try:
        whole, _, fraction = text.decode("ascii").partition(".")
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        second = datetime.fromisoformat(whole + fraction[len(digits) :])
        return (second - EPOCH) // timedelta(seconds=1) * NS_PER_S + int(digits.ljust(9, "0")[:9])
    except (ValueError, TypeError) as error:
        raise ServiceUnavailable(
            f"a line of the container's log begins with {text[:40]!r}", where="Docker", expected="a timestamp"
        ) from error


def _refuse(kind: int, payload: bytes) -> None:
    if kind == SYSTEM_ERROR:
        raise ServiceUnavailable(f"the log ended early: {payload.decode('utf-8', 'replace').strip()}", where="Docker")
    raise ServiceUnavailable(
        f"the container's log contains a frame of kind {kind}",
        where="Docker",
        expected="a log stream with headers, as of a container without a terminal (TTY)",
    )
