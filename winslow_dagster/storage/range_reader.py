"""A file of a store, or an S3 object, as a seekable file object."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class RangeReader(io.RawIOBase):
    """Reads only requested ranges, each with one call of `read(begin, end)`. Raises what `read` raises.

    `read` may give less than it was asked for, from the beginning on.
    """

    def __init__(self, read: Callable[[int, int], bytes], size_bytes: int) -> None:
        super().__init__()
        self._read = read
        self._size_bytes = size_bytes
        self._at = 0

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See io.IOBase."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """See io.RawIOBase."""
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size_bytes)
        if end <= self._at:
            return 0
        content = self._read(self._at, end)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)
