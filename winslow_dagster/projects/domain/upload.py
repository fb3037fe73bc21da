"""A file that a person sends to the pool in parts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

from winslow_dagster.pipelines.model.frozen import Frozen

UploadKind = Literal["file", "directory"]
UploadState = Literal["receiving", "stored", "failed", "cancelled"]


class Upload(Frozen):
    """`name` is that of the pool, `file_name` the file's own. It is `receiving` until it is in the pool.

    `replaces` is the id of the file of the pool whose place it takes once it is there. A directory is sent as one
    stream (see `storage/folder_stream.py`), whose size that of the upload is.

    `fingerprint` tells whether a file that is chosen again is the same one: see `fingerprint_of`. `message` says what
    was found in it, why it failed, or why it is complete and not in the pool yet.
    """

    id: str
    name: str
    file_name: str
    size_bytes: int
    received_bytes: int
    fingerprint: str
    owner: str
    begun_at: datetime
    kind: UploadKind = "file"
    replaces: str | None = None
    state: UploadState = "receiving"
    message: str = ""
    ended_at: datetime | None = None


class CheckedFootage(Frozen):
    """What was found when a video with this content was read to its end: what it is, and what is wrong, if anything."""

    blake3: str
    found: str
    problem: str
    checked_at: datetime

    def is_problem_since(self, since: datetime) -> bool:
        """Whether something was found to be wrong since then."""
        return bool(self.problem) and self.checked_at >= since


class PoolVideo(Frozen):
    """A video of the pool, the projects that use it, and what was found when it was read to its end.

    `found` says what it is and `problem` what is wrong with it, both in a sentence. Without `checked_at`, it has not
    been read yet.
    """

    name: str
    found: str = ""
    problem: str = ""
    checked_at: datetime | None = None
    users: tuple[str, ...] = ()


class PoolVideos(Frozen):
    """The videos of the pool, by name."""

    videos: tuple[PoolVideo, ...]


class UploadLists(Frozen):
    """The uploads that can be continued, and those that ended lately."""

    unfinished: tuple[Upload, ...]
    ended: tuple[Upload, ...]


FINGERPRINT_BYTES = 1 << 20


def fingerprint_of(size_bytes: int, read: Callable[[int, int], Iterable[bytes]]) -> str:
    """Size, and CRC-32 of the first and the last MiB, as the browser computes it, too.

    `read(begin, length)` gives the bytes from a place on.
    """
    first, last = (
        zlib.crc32(b"".join(read(begin, min(FINGERPRINT_BYTES, size_bytes))))
        for begin in (0, max(0, size_bytes - FINGERPRINT_BYTES))
    )
    return f"{size_bytes}-{first:08x}-{last:08x}"
