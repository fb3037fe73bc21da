"""What a file is, by its first bytes and its boxes. Reads a few bytes, and decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

PICTURE_HEAD_BYTES = 32
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
PICTURE_BRANDS = frozenset({b"avif", b"avis"})
BOX_HEAD_BYTES = 8
LARGE_BOX_HEAD_BYTES = 16


def is_picture(head: bytes) -> bool:
    """Whether a file that begins like this is a still picture."""
    return (
        head.startswith(PICTURES)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS)
    )


@dataclass(frozen=True, slots=True)
class Box:
    """A box of an MP4 or MOV: its name, where it begins and where its content does, and how long it says it is."""

    name: bytes
    begin: int
    content: int
    length: int

    @property
    def end(self) -> int:
        """Where it ends, which may be after the end of the file."""
        return self.begin + self.length

    @property
    def is_damaged(self) -> bool:
        """Whether it is shorter than its own head."""
        return self.length < self.content - self.begin


def boxes(file: BinaryIO, size_bytes: int) -> Iterator[Box]:
    """The outermost boxes in order, up to the first that is damaged or not complete."""
    at = 0
    while at + BOX_HEAD_BYTES <= size_bytes:
        file.seek(at)
        head = file.read(LARGE_BOX_HEAD_BYTES)
        length, head_bytes = int.from_bytes(head[:4]), BOX_HEAD_BYTES
        if length == 1:
            length, head_bytes = int.from_bytes(head[8:16]), LARGE_BOX_HEAD_BYTES
        elif length == 0:  # to the end of the file
            length = size_bytes - at
        box = Box(head[4:8], at, at + head_bytes, length)
        yield box
        if box.is_damaged:
            return
        at = box.end
