"""Copies a log into two plain files, as the stage printed it: what Dagit shows as an op's compute log."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from winslow_dagster.stages.log.cursor import Block, Cursor
from winslow_dagster.stages.log.lines import TEXT_OFFSET
from winslow_dagster.stages.log.reader import LogReader

TEXTS: Final = {letter: re.compile(rb"(?m)^.{%d}[%bW] (.*\n)" % (TEXT_OFFSET - 2, letter)) for letter in (b"O", b"E")}
"""The text of the lines of one stream, and of the log's own words, which belong to both."""


class StreamMirror:
    """Keeps two files up to date with a log: `pump` adds what is new since the last call.

    Each file holds whole lines, at most `limit_bytes` of them, and then one line, `note`. Starting anew on the same
    files begins from the first line again.
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
        """Whether both files have reached their limit: there is nothing left to do."""
        return all(copy.full for copy in self._copies)

    def pump(self) -> int:
        """Copy what is new; gives the number of bytes added."""
        added_bytes = 0
        if self.full:
            return added_bytes
        for block in self._cursor.blocks():
            added_bytes += sum(copy.add(block) for copy in self._copies)
            if self.full:
                break
        return added_bytes

    def close(self) -> None:
        """Close the files. What is new since the last `pump` is not in them."""
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
        """Append the block's lines of this stream as far as there is room; gives the number of bytes."""
        if self.full:
            return 0
        text = b"".join(self._texts.findall(block.stored))
        if len(text) > self._room_bytes:
            self.full = True
            text = text[: text.rfind(b"\n", 0, self._room_bytes) + 1] + self._note.encode() + b"\n"
        self._room_bytes -= len(text)
        self.file.write(text)
        return len(text)
