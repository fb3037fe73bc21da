"""The files of a log.

`<first line>.log` is the current segment or one that will be compressed, `<first line>.log.zst` is compressed, and
`<first line>.left_out` has one line that describes dropped lines. The number of the first line is padded to twelve
digits, so that names sort in the order of lines and `zstdcat -f *` shows the log.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

import zstandard

OPEN: Final = ".log"
COMPRESSED: Final = ".log.zst"
LEFT_OUT: Final = ".left_out"
CHECKPOINT: Final = "checkpoint.json"
UNFINISHED: Final = ".tmp"

NAME: Final = re.compile(r"(\d{12,})(\.log|\.log\.zst|\.left_out)")
PREFERENCE: Final = (COMPRESSED, OPEN, LEFT_OUT)
"""Which of two files with the same first line to read. A crash before the removal of the other leaves both."""

BLOCK_BYTES: Final = 262_144
HEAD_BYTES: Final = 18
"""The largest header of a compressed file, which says the size of its content."""


class Segment(NamedTuple):
    """One file of the log."""

    first_line: int
    suffix: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.first_line:012d}{self.suffix}"


class Files(Protocol):
    """Access to a log's files."""

    def names(self) -> list[str]:
        """The names of all files, in any order."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading. Raises FileNotFoundError if it has just been compressed or dropped."""

    def head(self, name: str) -> tuple[bytes, int]:
        """The first bytes of a file, at most HEAD_BYTES, and its size. Raises FileNotFoundError as `open` does."""


class Directory:
    """The files of a log on this machine, complete or being written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """The names of all files; none if the log does not exist yet."""
        try:
            return os.listdir(self.path)  # noqa: PTH208 - names are all that is needed, many times a second
        except FileNotFoundError:
            return []

    def open(self, name: str) -> BinaryIO:
        """Open a file unbuffered, because it may grow while it is read."""
        return (self.path / name).open("rb", buffering=0)

    def head(self, name: str) -> tuple[bytes, int]:
        """The first bytes of a file, and its size."""
        with (self.path / name).open("rb", buffering=0) as file:
            return file.read(HEAD_BYTES) or b"", os.fstat(file.fileno()).st_size


def segments(names: list[str]) -> list[Segment]:
    """The segments of the log in order, one per first line."""
    found: dict[int, str] = {}
    for name in names:
        if match := NAME.fullmatch(name):
            first, suffix = int(match[1]), match[2]
            found[first] = min(suffix, found.get(first, suffix), key=PREFERENCE.index)
    return [Segment(first, found[first]) for first in sorted(found)]


def content(files: Files, segment: Segment) -> BinaryIO:
    """The text of a segment, decompressed if necessary. Raises FileNotFoundError as `Files.open` does."""
    stored = files.open(segment.name)
    if segment.suffix != COMPRESSED:
        return stored
    return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(stored, closefd=True), BLOCK_BYTES)


def blocks(text: BinaryIO, size_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The whole lines of a text in blocks of about `size_bytes`, without an incomplete last line."""
    rest = b""
    while data := text.read(size_bytes):
        end = data.rfind(b"\n") + 1
        if not end:
            rest += data
            continue
        yield rest + data[:end]
        rest = data[end:]
