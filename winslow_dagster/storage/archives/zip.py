"""zip, with the fields of zip64 where they are needed.

Each member is followed by its CRC-32, and the directory at the end has all of them. They are known once the member has
been sent; for what an earlier download has sent, the files are read again unless this process still knows.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from struct import Struct

from winslow_dagster.storage.archives.archive import Archive
from winslow_dagster.storage.archives.members import Group, MemberReader
from winslow_dagster.storage.store import Store

LOCAL_HEADER = Struct("<4s5H3L2H")
ENTRY = Struct("<4s6H3L5H2L")
DESCRIPTOR = Struct("<4s3L")
LARGE_DESCRIPTOR = Struct("<4sL2Q")
END_64 = Struct("<4sQ2H2L4Q")
LOCATOR_64 = Struct("<4sLQL")
END = Struct("<4s4H2LH")
LARGE_SIZES = Struct("<2H2Q")
MOST_32, MOST_16 = 0xFFFFFFFF, 0xFFFF
CRC_FOLLOWS, NAME_IS_UTF8 = 0x0008, 0x0800
FLAGS = CRC_FOLLOWS | NAME_IS_UTF8
VERSION, VERSION_64 = 20, 45
UNIX = 3 << 8
PLAIN_FILE = 0o100644 << 16


class ZipArchive(Archive):
    """See Archive."""

    suffix = ".zip"
    media_type = "application/zip"

    def __init__(self, store: Store, groups: Sequence[Group]) -> None:
        super().__init__(store, groups)
        self._entry_ends = array("Q", accumulate(self._entry_lengths()))
        self._crcs = array("I", bytes(array("I").itemsize * self.file_count))
        self._known = bytearray(self.file_count)

    def _lengths(self) -> Iterator[int]:
        for name, size_bytes in self._members.names_and_sizes():
            length = LOCAL_HEADER.size + _name_bytes(name) + size_bytes
            if size_bytes >= MOST_32:
                yield length + LARGE_SIZES.size + LARGE_DESCRIPTOR.size
            else:
                yield length + DESCRIPTOR.size

    def _entry_lengths(self) -> Iterator[int]:
        offset = 0
        for (name, size_bytes), end in zip(self._members.names_and_sizes(), self._ends, strict=True):
            yield ENTRY.size + _name_bytes(name) + len(_large_fields(size_bytes, offset))
            offset = end

    def _head(self, position: int) -> bytes:
        member = self._member_at(position)
        name, large = member.name.encode(), member.size_bytes >= MOST_32
        extra = LARGE_SIZES.pack(1, 16, member.size_bytes, member.size_bytes) if large else b""
        size_bytes = min(member.size_bytes, MOST_32)
        header = LOCAL_HEADER.pack(
            b"PK\3\4",
            VERSION_64 if large else VERSION,
            FLAGS,
            0,
            *_moment(member.group.modified_at),
            0,
            size_bytes,
            size_bytes,
            len(name),
            len(extra),
        )
        return header + name + extra

    def _after(self, reader: MemberReader, position: int) -> bytes:
        size_bytes = self._member_at(position).size_bytes
        form = LARGE_DESCRIPTOR if size_bytes >= MOST_32 else DESCRIPTOR
        return form.pack(b"PK\7\x08", self._crc(reader, position), size_bytes, size_bytes)

    def _content(self, reader: MemberReader, position: int, begin: int, end: int) -> Iterator[bytes]:
        crc = 0
        for piece in super()._content(reader, position, begin, end):
            crc = zlib.crc32(piece, crc)
            yield piece
        if begin == 0 and end == self._member_at(position).size_bytes:
            self._keep(position, crc)

    def _crc(self, reader: MemberReader, position: int) -> int:
        if not self._known[position]:
            crc = 0
            for piece in super()._content(reader, position, 0, self._member_at(position).size_bytes):
                crc = zlib.crc32(piece, crc)
            self._keep(position, crc)
        return self._crcs[position]

    def _keep(self, position: int, crc: int) -> None:
        # In this order: another download of the same archive may look at any moment.
        self._crcs[position] = crc
        self._known[position] = 1

    @property
    def _directory_bytes(self) -> int:
        return self._entry_ends[-1] if self._entry_ends else 0

    def _tail_bytes(self) -> int:
        return self._directory_bytes + len(self._end())

    def _tail(self, reader: MemberReader, begin: int, end: int) -> Iterator[bytes]:
        position = bisect_right(self._entry_ends, begin)
        while position < len(self._entry_ends):
            offset = self._entry_ends[position - 1] if position else 0
            if offset >= end:
                return
            yield self._entry(reader, position)[max(0, begin - offset) : end - offset]
            position += 1
        if end > self._directory_bytes:
            yield self._end()[max(0, begin - self._directory_bytes) : end - self._directory_bytes]

    def _entry(self, reader: MemberReader, position: int) -> bytes:
        member, offset = self._member_at(position), self._begin_of(position)
        name, extra = member.name.encode(), _large_fields(member.size_bytes, offset)
        size_bytes, version = min(member.size_bytes, MOST_32), VERSION_64 if extra else VERSION
        entry = ENTRY.pack(
            b"PK\1\2",
            UNIX | version,
            version,
            FLAGS,
            0,
            *_moment(member.group.modified_at),
            self._crc(reader, position),
            size_bytes,
            size_bytes,
            len(name),
            len(extra),
            0,
            0,
            0,
            PLAIN_FILE,
            min(offset, MOST_32),
        )
        return entry + name + extra

    def _end(self) -> bytes:
        offset, length, files = self._members_bytes, self._directory_bytes, self.file_count
        large = b""
        if files >= MOST_16 or offset >= MOST_32 or length >= MOST_32:
            versions = (UNIX | VERSION_64, VERSION_64)
            large = END_64.pack(b"PK\6\6", END_64.size - 12, *versions, 0, 0, files, files, length, offset)
            large += LOCATOR_64.pack(b"PK\6\7", 0, offset + length, 1)
        shown, length, offset = min(files, MOST_16), min(length, MOST_32), min(offset, MOST_32)
        return large + END.pack(b"PK\5\6", 0, 0, shown, shown, length, offset, 0)


def _name_bytes(name: str) -> int:
    return len(name) if name.isascii() else len(name.encode())


def _large_fields(size_bytes: int, offset: int) -> bytes:
    """The field of the directory for what has no room in an entry."""
    numbers = ([size_bytes] * 2 if size_bytes >= MOST_32 else []) + ([offset] if offset >= MOST_32 else [])
    return Struct(f"<2H{len(numbers)}Q").pack(1, 8 * len(numbers), *numbers) if numbers else b""


def _moment(at: datetime) -> tuple[int, int]:
    """Time and date as zip has them: without a zone, from 1980 on, to two seconds."""
    at = max(at.astimezone(UTC), datetime(1980, 1, 1, tzinfo=UTC))
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day
