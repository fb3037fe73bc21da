"""What a log's writer knew at the start of the segment being written: a restart reads one segment again, not all."""

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
    """Where a stream's source goes on: `skip_lines` line feeds after its byte `offset_bytes`."""

    offset_bytes: int = 0
    skip_lines: int = 0


class Checkpoint(Frozen):
    """The state after line `lines`. `closed`: the stage has ended, nothing will be added.

    `open_ns` has the stamps of lines that were begun and not completed.
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
        """The checkpoint of a log; None where there is none, or none that this version can use."""
        try:
            checkpoint = cls.model_validate_json((directory / CHECKPOINT).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return checkpoint if checkpoint.version == VERSION else None

    def source(self, stream: Stream) -> StreamPoint:
        """Where a stream's source goes on; its beginning where nothing came from it yet."""
        return self.sources.get(stream, StreamPoint())

    def write(self, directory: Path) -> None:
        """Put it in the place of the one before."""
        unfinished = directory / (CHECKPOINT + UNFINISHED)
        unfinished.write_text(self.model_dump_json(), encoding="utf-8")
        unfinished.replace(directory / CHECKPOINT)
