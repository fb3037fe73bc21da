"""tar, as POSIX has it (pax): any name, any size. It needs nothing but names, sizes and times."""

from __future__ import annotations

from collections.abc import Iterator
from tarfile import BLOCKSIZE, LENGTH_NAME, PAX_FORMAT, TarInfo

from winslow_dagster.storage.archives.archive import Archive
from winslow_dagster.storage.archives.members import MemberReader

END = bytes(2 * BLOCKSIZE)
LARGEST_IN_HEADER = 8**11 - 1
MODE = 0o644


class TarArchive(Archive):
    """See Archive."""

    suffix = ".tar"
    media_type = "application/x-tar"

    def _lengths(self) -> Iterator[int]:
        for name, size_bytes in self._members.names_and_sizes():
            plain = len(name) <= LENGTH_NAME and size_bytes <= LARGEST_IN_HEADER and name.isascii()
            head = BLOCKSIZE if plain else extended_head_bytes(name, size_bytes)
            yield head + size_bytes + -size_bytes % BLOCKSIZE

    def _head(self, position: int) -> bytes:
        member = self._member_at(position)
        info = TarInfo(member.name)
        info.size, info.mode = member.size_bytes, MODE
        info.mtime = int(member.group.modified_at.timestamp())
        return info.tobuf(PAX_FORMAT, "utf-8", "strict")

    def _after(self, reader: MemberReader, position: int) -> bytes:
        del reader
        return bytes(-self._member_at(position).size_bytes % BLOCKSIZE)

    def _tail_bytes(self) -> int:
        return len(END)

    def _tail(self, reader: MemberReader, begin: int, end: int) -> Iterator[bytes]:
        del reader
        yield END[begin:end]


def extended_head_bytes(name: str, size_bytes: int) -> int:
    """The length of a head with records for what does not fit into a header."""
    records = 0
    if len(name) > LENGTH_NAME or not name.isascii():
        records += record_bytes("path", len(name.encode()))
    if size_bytes > LARGEST_IN_HEADER:
        records += record_bytes("size", len(str(size_bytes)))
    return 2 * BLOCKSIZE + records + -records % BLOCKSIZE


def record_bytes(keyword: str, value_bytes: int) -> int:
    """The length of a record, `LENGTH KEYWORD=VALUE` and a line feed. The length counts itself."""
    rest = len(keyword) + value_bytes + 3
    length = rest
    while (longer := rest + len(str(length))) != length:
        length = longer
    return length
