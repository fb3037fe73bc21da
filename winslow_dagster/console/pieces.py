"""Cuts what arrives of a file into pieces that can be written past the page cache."""

from __future__ import annotations

import mmap


class Pieces:
    """Pieces that end at the multiples of `piece_bytes` of a file, whose next byte is at `begin_bytes`.

    Each begins at a page of memory, and holds until the one after the next is filled.
    """

    def __init__(self, piece_bytes: int, begin_bytes: int) -> None:
        self._now, self._next = (memoryview(mmap.mmap(-1, piece_bytes)) for _ in range(2))
        self._wanted_bytes = piece_bytes - begin_bytes % piece_bytes
        self._filled_bytes = 0

    @property
    def room(self) -> memoryview:
        """Where the next bytes belong."""
        return self._now[self._filled_bytes : self._wanted_bytes]

    @property
    def rest(self) -> memoryview:
        """What has arrived since the last whole piece."""
        return self._now[: self._filled_bytes]

    def filled(self, count: int) -> memoryview | None:
        """So many bytes were written into the room. Returns the piece if it is whole now."""
        self._filled_bytes += count
        if self._filled_bytes < self._wanted_bytes:
            return None
        piece = self.rest
        self._now, self._next = self._next, self._now
        self._wanted_bytes, self._filled_bytes = len(self._now), 0
        return piece
