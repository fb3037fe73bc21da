"""What an archive contains: files of trees in the store, each tree in a folder of the archive."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, count, takewhile

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.archives.packed_manifest import PackedManifest
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.store import Store

SMALL_BYTES = 128 << 10
MOST_AHEAD = 64
"""Of small files in a distant store, so many are read before they are needed."""


@dataclass(frozen=True, slots=True)
class Group:
    """The files of one tree, in the folder `folder`. All have the same time."""

    folder: str
    modified_at: datetime
    files: PackedManifest


@dataclass(frozen=True, slots=True)
class Member:
    """One file. `index` is its position in its group."""

    name: str
    size_bytes: int
    group: Group
    index: int


class Members:
    """The files of an archive in their order, which never changes."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)
        self._firsts = [0, *accumulate(len(group.files) for group in self.groups)]

    def __len__(self) -> int:
        return self._firsts[-1]

    def __getitem__(self, position: int) -> Member:
        if not 0 <= position < len(self):
            raise IndexError(position)
        number = bisect_right(self._firsts, position) - 1
        group, index = self.groups[number], position - self._firsts[number]
        return Member(f"{group.folder}/{group.files.name(index)}", group.files.sizes[index], group, index)

    def names_and_sizes(self) -> Iterator[tuple[str, int]]:
        """Of all members, in order."""
        for group in self.groups:
            names = (f"{group.folder}/{name}" for name in group.files.names())
            yield from zip(names, group.files.sizes, strict=True)


class MemberReader:
    """Reads members from the store, for one download. Small files of a distant store are read several at once."""

    def __init__(self, store: Store, members: Members) -> None:
        self._store = store
        self._members = members
        self._ahead: dict[int, bytes] = {}

    def read(self, position: int, begin: int, end: int) -> bytes:
        """The bytes of a member from `begin` to before `end`. Raises StoreError if they are not all there."""
        member = self._members[position]
        if self._store.reads_at_once > 1 and member.size_bytes <= SMALL_BYTES:
            if position not in self._ahead:
                self._read_ahead(position)
            return self._ahead[position][begin:end]
        return self._read(member, begin, end)

    def _read_ahead(self, position: int) -> None:
        last = min(position + MOST_AHEAD, len(self._members))
        small = takewhile(
            lambda member: member.size_bytes <= SMALL_BYTES, map(self._members.__getitem__, range(position, last))
        )
        with ThreadPoolExecutor(self._store.reads_at_once, thread_name_prefix="archive") as threads:
            contents = threads.map(lambda member: self._read(member, 0, member.size_bytes), small)
            self._ahead = dict(zip(count(position), contents, strict=False))

    def _read(self, member: Member, begin: int, end: int) -> bytes:
        if begin == end:
            return b""
        files = member.group.files
        place = files.location(member.index)
        entry = FileEntry(path=place.path, size_bytes=member.size_bytes, blake3="")
        content = self._store.read_range(Manifest(address=place.address), entry, begin, end - begin)
        if len(content) != end - begin:
            raise StoreError(
                f"the file is shorter than the {member.size_bytes} bytes that were committed",
                where=f"{place.address}/{place.path}",
                remedy="It was changed in the store: restore it from a backup, or run the stage again.",
            )
        return content
