"""Where a log continues after its writer, or the connection to its source, was interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from winslow_dagster.stages.log.checkpoint import StreamPoint
from winslow_dagster.stages.log.lines import LETTER, LETTERS, NS_PER_S, STAMP_BYTES, STREAMS, Stream, parse_stamp, stamp
from winslow_dagster.stages.log.segments import LEFT_OUT, Files, blocks, content, segments

SLACK_NS: Final = NS_PER_S
"""Docker assigns timestamps before it merges both streams, so that a line may follow one with a later timestamp. The
timestamps of lines after the last one stored are at most this much earlier, unless the line was begun long before.
"""


class Entry(NamedTuple):
    """A piece of one stream with its time, as a container's log delivers it."""

    stream: Stream
    at_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredLines:
    """Which lines of a source with timestamps are in the log.

    All lines before `from_ns`, except incomplete ones: `open_ns` has their timestamps, which all their pieces share.
    From `from_ns` on, `counts` has the number of stored lines for each stream and timestamp.
    """

    from_ns: int = 0
    counts: Mapping[tuple[Stream, int], int] = field(default_factory=dict)
    open_ns: Mapping[Stream, int] = field(default_factory=dict)

    @classmethod
    def read(cls, files: Files, from_ns: int, open_ns: Mapping[Stream, int]) -> Self:
        """Count the lines from the end of a log back to `from_ns`. The log must not change meanwhile."""
        since = stamp(from_ns)
        counts: Counter[tuple[Stream, int]] = Counter()
        for segment in reversed(segments(files.names())):
            if segment.suffix == LEFT_OUT:
                continue
            with content(files, segment) as text:
                lines = [line for block in blocks(text) for line in block[:-1].split(b"\n")]
            recent = [line for line in lines if line >= since and line[LETTER] != LETTERS["winslow"]]
            counts.update((STREAMS[line[LETTER]], parse_stamp(line[:STAMP_BYTES])) for line in recent)
            # Not at the first earlier line: lines that the daemon skipped while it was followed are stored late.
            if lines and not recent:
                break
        return cls(from_ns, counts, open_ns)


class ResumePoint(NamedTuple):
    """Where the log continues.

    A source with timestamps is read from `since_ns` (a whole second, to avoid rounding), and lines that are `stored`
    are dropped. `line` is the number of the last line; `at_ns` is the timestamp of the stage's last output in the log,
    complete line or not. A source with offsets continues at `sources`.
    """

    line: int
    at_ns: int
    since_ns: int
    stored: StoredLines
    sources: Mapping[Stream, StreamPoint]
