"""Copies a log into two plain files, as the stage printed it. Dagit shows them as the op's compute log."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from winslow_dagster.stages.log.cursor import Block, Cursor
from winslow_dagster.stages.log.lines import TEXT_OFFSET
from winslow_dagster.stages.log.reader import LogReader

TEXTS: Final = {letter: re.compile(rb"(?m)^.{%d}[%bW] (.*\n)" % (TEXT_OFFSET - 2, letter)) for letter in (b"O", b"E")}
"""Finds the text of the lines of one stream, and of the stream `winslow`, which is copied to both files."""


class StreamMirror:
    """Keeps two files up to date with a log: `pump` appends what is new since the last call.

    Each file has at most `limit_bytes` of whole lines, followed by the line `note` if it reaches the limit. A new
    mirror overwrites the files from the first line on.
    """

    def __init__(self, reader: LogReader, stdout_path: Path, stderr_path: Path, *, limit_bytes: int, note: str) -> None:
        self._cursor = Cursor(reader.files)
        self._copies = (
            _Copy(stdout_path, b"O", limit_bytes, note),
            _Copy(stderr_path, b"E", limit_bytes, note),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @property
    def full(self) -> bool:
        """Whether both files have reached their limit."""
        return all(copy.full for copy in self._copies)

    def pump(self) -> int:
        """Copy what is new. Returns the number of bytes added."""
        added_bytes = 0
        if self.full:
            return added_bytes
        for block in self._cursor.blocks():
            added_bytes += sum(copy.add(block) for copy in self._copies)
            if self.full:
                break
        return added_bytes

    def close(self) -> None:
        """Close the files, without copying what is new since the last `pump`."""
        self._cursor.close()
        for copy in self._copies:
            copy.file.close()


class _Copy:
    """The file of one stream."""

    def __init__(self, path: Path, letter: bytes, limit_bytes: int, note: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file: BinaryIO = path.open("wb", buffering=0)
        self.full = False
        self._texts = TEXTS[letter]
        self._room_bytes = limit_bytes
        self._note = note

    def add(self, block: Block) -> int:
        """Append the block's lines of this stream, up to the limit. Returns the number of bytes."""
        if self.full:
            return 0
        text = b"".join(self._texts.findall(block.stored))
        if len(text) > self._room_bytes:
            self.full = True
            text = text[: text.rfind(b"\n", 0, self._room_bytes) + 1] + self._note.encode() + b"\n"
        self._room_bytes -= len(text)
        self.file.write(text)
        return len(text)
