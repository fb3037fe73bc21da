"""The file to decode, as the libraries read it: a descriptor that was handed over, or ranges that the parent sends."""

from __future__ import annotations

import io
import os
import struct
from collections import OrderedDict
from itertools import islice
from typing import BinaryIO, cast

from winslow_dagster.footage.recognition import boxes
from winslow_dagster.storage.range_reader import RangeReader

REQUEST = struct.Struct("<QQ")
BLOCK_BYTES = 1 << 20
BLOCKS_KEPT = 24
MOST_BOXES = 10_000
SPARED_FROM_BYTES = 1 << 16


class RangeFile(RangeReader):
    """A file whose blocks the parent sends over a socket. Some blocks are kept: demuxers go back and forth."""

    def __init__(self, channel: int, size_bytes: int) -> None:
        super().__init__(self._part, size_bytes)
        self._channel = channel
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def _part(self, begin: int, end: int) -> bytes:
        """From `begin` to the end of its block at most."""
        number, inside = divmod(begin, BLOCK_BYTES)
        return self._block(number)[inside : inside + end - begin]

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        begin = number * BLOCK_BYTES
        length = min(BLOCK_BYTES, self._size_bytes - begin)
        os.write(self._channel, REQUEST.pack(begin, begin + length))
        parts = []
        while length > 0:
            part = os.read(self._channel, length)
            if not part:
                raise OSError("the parent has closed the file")
            parts.append(part)
            length -= len(part)
        self._blocks[number] = b"".join(parts)
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return self._blocks[number]


class WithoutFrames(RangeReader):
    """An MP4 whose frames read as zeros, so that gigabytes are not read to list when each frame is shown.

    Those times are in other boxes than the frames, which are in `mdat`.
    """

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        super().__init__(self._part, size_bytes)
        self._file = file
        self._spared = tuple(_frame_boxes(file, size_bytes))

    def _part(self, begin: int, end: int) -> bytes:
        """Zeros or bytes of the file, up to where the other kind begins."""
        for first, last in self._spared:
            if first <= begin < last:
                return bytes(min(end, last) - begin)
            if begin < first:
                end = min(end, first)
                break
        self._file.seek(begin)
        return self._file.read(end - begin)


def _frame_boxes(file: BinaryIO, size_bytes: int) -> list[tuple[int, int]]:
    """Where the contents of the large `mdat` boxes are; nothing if the boxes do not fit together."""
    found = list(islice(boxes(file, size_bytes), MOST_BOXES))
    if len(found) == MOST_BOXES or any(box.is_damaged for box in found):
        return []
    return [
        (box.content, min(size_bytes, box.end))
        for box in found
        if box.name == b"mdat" and box.length > SPARED_FROM_BYTES
    ]


def opened(descriptor: int, size_bytes: int, *, by_ranges: bool) -> BinaryIO:
    """The file to decode. A descriptor is that of the file, or that of the socket for its ranges."""
    if by_ranges:
        return cast("BinaryIO", io.BufferedReader(RangeFile(descriptor, size_bytes), BLOCK_BYTES))
    return cast("BinaryIO", os.fdopen(descriptor, "rb"))
