"""The state of a log's writer at the start of the current segment, so that a restart reads only one segment again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.log.lines import Stream
from winslow_dagster.stages.log.rules import MatcherState
from winslow_dagster.stages.log.segments import CHECKPOINT, UNFINISHED

VERSION: Final = 1


class StreamPoint(Frozen):
    """A position in a stream's source: `skip_lines` line feeds after byte `offset_bytes`."""

    offset_bytes: int = 0
    skip_lines: int = 0


class Checkpoint(Frozen):
    """The state after line `lines`. `closed`: the stage has ended and the log is complete.

    `open_ns` has the timestamps of incomplete lines.
    """

    version: int = VERSION
    closed: bool = False
    lines: int = 0
    size_bytes: int = 0
    last_ns: int = 0
    sources: dict[Stream, StreamPoint] = Field(default_factory=dict)
    open_ns: dict[Stream, int] = Field(default_factory=dict)
    matcher: MatcherState = MatcherState()

    @classmethod
    def read(cls, directory: Path) -> Checkpoint | None:
        """The checkpoint of a log; None if it is missing or cannot be used by this version."""
        try:
            checkpoint = cls.model_validate_json((directory / CHECKPOINT).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return checkpoint if checkpoint.version == VERSION else None

    def source(self, stream: Stream) -> StreamPoint:
        """The position in a stream's source; its beginning if nothing was read from it yet."""
        return self.sources.get(stream, StreamPoint())

    def write(self, directory: Path) -> None:
        """Replace the log's checkpoint."""
        unfinished = directory / (CHECKPOINT + UNFINISHED)
        unfinished.write_text(self.model_dump_json(), encoding="utf-8")
        unfinished.replace(directory / CHECKPOINT)
