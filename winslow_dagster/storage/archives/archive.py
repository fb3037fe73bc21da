"""An archive as one long sequence of bytes, of which any part can be made.

Names, sizes and times alone decide where everything stands, so that the length is known before the first byte is sent,
and a download that was interrupted goes on where it stopped, also after a restart. Nothing is compressed: films and
pictures are already, and a compressed archive has no length in advance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import ClassVar

from blake3 import blake3

from winslow_dagster.storage.archives.members import Group, Member, MemberReader, Members
from winslow_dagster.storage.store import Store

PIECE_BYTES = 1 << 20
FIRST_PIECE_BYTES = 32 << 10
"""The first one is smaller, so that the download begins at once."""
LAYOUT = 1
"""To be raised with every change of the bytes that are made of the same files."""


class Archive(ABC):
    """The files of some trees of the store. Methods raise StoreError if one of them is gone or was changed."""

    suffix: ClassVar[str]
    media_type: ClassVar[str]

    def __init__(self, store: Store, groups: Sequence[Group]) -> None:
        self._store = store
        self._members = Members(groups)
        # Where each member ends.
        self._ends = array("Q", accumulate(self._lengths()))
        self.tag = self._tag()
        """Changes with the bytes."""

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self._members_bytes + self._tail_bytes()

    @property
    def file_count(self) -> int:
        """The number of files."""
        return len(self._members)

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """The bytes from `begin` to before `end`, in pieces of about a mebibyte."""
        held, wanted_bytes = bytearray(), FIRST_PIECE_BYTES
        for part in self._parts(MemberReader(self._store, self._members), begin, end):
            held += part
            if len(held) >= wanted_bytes:
                yield bytes(held)
                held, wanted_bytes = bytearray(), PIECE_BYTES
        if held:
            yield bytes(held)

    @abstractmethod
    def _lengths(self) -> Iterator[int]:
        """The length of each member with all that belongs to it."""

    @abstractmethod
    def _head(self, position: int) -> bytes:
        """What stands before the content of a member."""

    @abstractmethod
    def _after(self, reader: MemberReader, position: int) -> bytes:
        """What stands after it."""

    @abstractmethod
    def _tail_bytes(self) -> int:
        """The length of what stands after all members."""

    @abstractmethod
    def _tail(self, reader: MemberReader, begin: int, end: int) -> Iterator[bytes]:
        """A part of it."""

    @property
    def _members_bytes(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _begin_of(self, position: int) -> int:
        return self._ends[position - 1] if position else 0

    def _parts(self, reader: MemberReader, begin: int, end: int) -> Iterator[bytes]:
        position = bisect_right(self._ends, begin)
        while position < len(self._ends) and self._begin_of(position) < end:
            offset = self._begin_of(position)
            yield from self._member(reader, position, max(0, begin - offset), min(end, self._ends[position]) - offset)
            position += 1
        if end > self._members_bytes:
            yield from self._tail(reader, max(0, begin - self._members_bytes), end - self._members_bytes)

    def _member(self, reader: MemberReader, position: int, begin: int, end: int) -> Iterator[bytes]:
        head, size_bytes = self._head(position), self._members[position].size_bytes
        yield head[begin:end]
        first, last = max(0, begin - len(head)), min(end - len(head), size_bytes)
        if first < last:
            yield from self._content(reader, position, first, last)
        after = end - len(head) - size_bytes
        if after > 0:
            yield self._after(reader, position)[max(0, begin - len(head) - size_bytes) : after]

    def _content(self, reader: MemberReader, position: int, begin: int, end: int) -> Iterator[bytes]:
        for first in range(begin, end, PIECE_BYTES):
            yield reader.read(position, first, min(end, first + PIECE_BYTES))

    def _member_at(self, position: int) -> Member:
        return self._members[position]

    def _tag(self) -> str:
        hasher = blake3(f"{self.suffix} {LAYOUT}".encode())
        for group in self._members.groups:
            hasher.update(f"\0{group.folder}\0{group.modified_at.isoformat()}\0{group.files.tag}".encode())
        return hasher.hexdigest(16)
