"""The format of stored log lines: `<RFC 3339 with nanoseconds> <O|E|W> <text>`, ending with a line feed."""

from __future__ import annotations

import calendar
import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Stream = Literal["stdout", "stderr", "winslow"]
"""Who printed a line; `winslow` marks lines of the runner and of the log itself, such as omitted lines."""

LETTERS: Final[dict[Stream, bytes]] = {"stdout": b"O", "stderr": b"E", "winslow": b"W"}
STREAMS: Final[dict[bytes, Stream]] = {letter: stream for stream, letter in LETTERS.items()}

STAMP_BYTES: Final = len(b"2026-01-02T03:04:05.123456789Z")
TEXT_OFFSET: Final = STAMP_BYTES + len(b" O ")
"""Where the text of a stored line begins; all timestamps have the same length."""

LETTER: Final = slice(STAMP_BYTES + 1, STAMP_BYTES + 2)
"""The position of the stream's letter."""

NS_PER_S: Final = 1_000_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LogLine(NamedTuple):
    """One stored line. `number` counts from 1 over the whole log; `stamp` is RFC 3339 in UTC with nanoseconds."""

    number: int
    stamp: str
    stream: Stream
    text: str

    @property
    def at_ns(self) -> int:
        """Nanoseconds since 1970."""
        return parse_stamp(self.stamp.encode())

    @property
    def at(self) -> datetime:
        """The time, to the microsecond."""
        return EPOCH + timedelta(microseconds=self.at_ns // 1_000)


@lru_cache(maxsize=64)
def stamp_of_second(second: int) -> bytes:
    """The first twenty characters of a timestamp, with the point. Cached, because thousands of lines share a second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()


def stamp(at_ns: int) -> bytes:
    """Nanoseconds since 1970 as a timestamp of STAMP_BYTES."""
    return b"%b%09dZ" % (stamp_of_second(at_ns // NS_PER_S), at_ns % NS_PER_S)


@lru_cache(maxsize=64)
def second_of_stamp(text: bytes) -> int:
    """`2026-01-02T03:04:05` in UTC as seconds since 1970. Raises ValueError."""
    return calendar.timegm(time.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S"))


def parse_stamp(text: bytes) -> int:
    """A timestamp as nanoseconds since 1970. Raises ValueError."""
    return second_of_stamp(text[:19]) * NS_PER_S + int(text[20:29])


def nanoseconds(at: datetime | int | None) -> int:
    """A time as nanoseconds since 1970; None means now."""
    if at is None:
        return time.time_ns()
    if isinstance(at, int):
        return at
    return (at - EPOCH) // timedelta(microseconds=1) * 1_000


def stamped(text: bytes, stream: Stream, at_ns: int) -> bytes:
    """Whole lines of one stream and time in the stored format."""
    prefix = b"%b %b " % (stamp(at_ns), LETTERS[stream])
    return prefix + text[:-1].replace(b"\n", b"\n" + prefix) + b"\n"


def parsed(line: bytes, number: int) -> LogLine:
    """A stored line, without its line feed, as a value. Invalid UTF-8 becomes U+FFFD."""
    return LogLine(
        number,
        line[:STAMP_BYTES].decode("ascii", "replace"),
        STREAMS.get(line[LETTER], "winslow"),
        line[TEXT_OFFSET:].decode("utf-8", "replace"),
    )


def runs(stored: bytes) -> Iterator[tuple[bool, list[bytes]]]:
    """Stored lines in runs, each with whether it is of the stream `winslow`, to which no rules are applied."""
    lines = stored[:-1].split(b"\n")
    if b"Z W " not in stored:
        yield False, lines
        return
    for ours, run in itertools.groupby(lines, key=lambda line: line[LETTER] == LETTERS["winslow"]):
        yield ours, list(run)


def omitted_text(first: int, last: int) -> str:
    """The text in place of lines that were dropped to keep the log within its limit."""
    return f"… {last - first + 1:,} lines omitted ({first:,} to {last:,}): the log exceeded its size limit"
