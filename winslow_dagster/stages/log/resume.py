"""Where a log goes on after its writer, or its source's connection, broke off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from winslow_dagster.stages.log.checkpoint import StreamPoint
from winslow_dagster.stages.log.lines import LETTER, LETTERS, NS_PER_S, STAMP_BYTES, Stream, parse_stamp, stamp
from winslow_dagster.stages.log.segments import LEFT_OUT, Files, blocks, content, segments

SLACK_NS: Final = NS_PER_S
"""Docker stamps the lines of both streams before it puts them in order: a line may follow one that is stamped later.
No line that follows the last one stored is stamped earlier than this before it, unless it was begun long before.
"""


class Entry(NamedTuple):
    """A piece of one stream with its moment, as a container's log delivers it."""

    stream: Stream
    at_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredLines:
    """What of a source with stamps is in the log.

    Everything stamped before `from_ns` is, but for lines that are not complete: `open_ns` has the stamp of each, which
    all its pieces carry. From then on `counts` tells how many lines with a stamp are.
    """

    from_ns: int = 0
    counts: Mapping[int, int] = field(default_factory=dict)
    open_ns: Mapping[Stream, int] = field(default_factory=dict)

    @classmethod
    def read(cls, files: Files, from_ns: int, open_ns: Mapping[Stream, int]) -> Self:
        """Count the lines of a log that nothing is done to meanwhile, from its end back to `from_ns`."""
        since = stamp(from_ns)
        counts: Counter[int] = Counter()
        for segment in reversed(segments(files.names())):
            if segment.suffix == LEFT_OUT:
                continue
            with content(files, segment) as text:
                lines = [line for block in blocks(text) for line in block[:-1].split(b"\n")]
            recent = [line[:STAMP_BYTES] for line in lines if line >= since and line[LETTER] != LETTERS["winslow"]]
            counts.update(map(parse_stamp, recent))
            if lines and lines[0] < since:
                break
        return cls(from_ns, counts, open_ns)


class ResumePoint(NamedTuple):
    """Where the log goes on.

    A source with stamps is asked for everything since `since_ns` (a whole second, so that nobody rounds it), and what
    is `stored` is dropped. `line` is the last line's number; `at_ns` is the stamp of what the stage printed last and
    the log has, be it a whole line or not. A source with offsets goes on at `sources`.
    """

    line: int
    at_ns: int
    since_ns: int
    stored: StoredLines
    sources: Mapping[Stream, StreamPoint]
