"""Docker's log stream: frames of both streams in one, each line with its time stamp (`timestamps=1`, no TTY)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages.log.lines import EPOCH, NS_PER_S, STAMP_BYTES, Stream, second_of_stamp
from winslow_dagster.stages.log.writer import Entry

HEADER: Final = struct.Struct(">BxxxL")
FRAME_STREAMS: Final[dict[int, Stream]] = {1: "stdout", 2: "stderr"}
SYSTEM_ERROR: Final = 3

FRAME_LIMIT_BYTES: Final = 1_048_576
"""The daemon cuts lines at 16 KiB; a longer frame is not its log stream."""


class DockerLogDemuxer:
    """Takes the stream in chunks cut anywhere, and gives whole frames: stream, stamp, payload without the stamp.

    `stored` (`ResumePoint.stored`) counts, for each stamp, the lines that were stored from an earlier connection;
    as many are dropped here, so that asking the daemon for everything since `ResumePoint.since_ns` doubles nothing.
    Raises ServiceUnavailable where the daemon reports an error, or sends something else than such a stream.
    """

    def __init__(self, stored: Mapping[int, int] | None = None) -> None:
        self._rest = b""
        self._stored = dict(stored or {})

    def feed(self, data: bytes) -> list[Entry]:
        """Take the next chunk; gives the frames it completed, in order."""
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
            text = begin + STAMP_BYTES + 1
            if data[text - 2 : text] == b"Z ":
                at_ns = second_of_stamp(data[begin : begin + 19]) * NS_PER_S + int(data[begin + 20 : begin + 29])
                add(Entry(FRAME_STREAMS[kind], at_ns, data[text:end]))
            else:
                stamp_text, _, payload = data[begin:end].partition(b" ")
                add(Entry(FRAME_STREAMS[kind], _other_stamp(stamp_text), payload))
            point = end
        self._rest = data[point:]
        return self._unknown(entries) if self._stored else entries

    def _unknown(self, entries: list[Entry]) -> list[Entry]:
        return [entry for entry in entries if not self._is_stored(entry)]

    def _is_stored(self, entry: Entry) -> bool:
        count = self._stored.get(entry.at_ns, 0)
        if not count:
            return False
        if entry.payload.endswith(b"\n"):  # a long line comes in several frames with one stamp, and is stored as one
            self._stored[entry.at_ns] = count - 1
        return True


def _other_stamp(text: bytes) -> int:
    """RFC 3339 with an offset, or with fewer digits: what other versions of the daemon send."""
    try:
        whole, _, fraction = text.decode("ascii").partition(".")
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        second = datetime.fromisoformat(whole + fraction[len(digits) :])
        return (second - EPOCH) // timedelta(seconds=1) * NS_PER_S + int(digits.ljust(9, "0")[:9])
    except (ValueError, TypeError) as error:
        raise ServiceUnavailable(
            f"a line of the container's log begins with {text[:40]!r}", where="Docker", expected="a time stamp"
        ) from error


def _refuse(kind: int, payload: bytes) -> None:
    if kind == SYSTEM_ERROR:
        raise ServiceUnavailable(f"the log broke off: {payload.decode('utf-8', 'replace').strip()}", where="Docker")
    raise ServiceUnavailable(
        f"the container's log holds a frame of kind {kind}",
        where="Docker",
        expected="a log stream with headers, which a container without a terminal (tty) has",
    )
