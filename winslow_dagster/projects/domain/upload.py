"""A file that a person sends to the pool in parts."""

from __future__ import annotations

import zlib
from datetime import datetime
from pathlib import Path
from typing import Literal

from winslow_dagster.pipelines.model.frozen import Frozen

UploadState = Literal["receiving", "stored", "failed", "cancelled"]


class Upload(Frozen):
    """`name` is that of the pool, `file_name` the file's own. It is `receiving` until it is in the pool.

    `fingerprint` tells whether a file that is chosen again is the same one: see `fingerprint_of`. `message` says what
    was found in it, or why it failed.
    """

    id: str
    name: str
    file_name: str
    size_bytes: int
    received_bytes: int
    fingerprint: str
    owner: str
    begun_at: datetime
    state: UploadState = "receiving"
    message: str = ""
    ended_at: datetime | None = None


class UploadLists(Frozen):
    """The uploads that can be continued, and those that ended lately."""

    unfinished: tuple[Upload, ...]
    ended: tuple[Upload, ...]


FINGERPRINT_BYTES = 1 << 20


def fingerprint_of(path: Path) -> str:
    """Size, and CRC-32 of the first and the last MiB, as the browser computes it, too. Raises OSError."""
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        first = zlib.crc32(file.read(FINGERPRINT_BYTES))
        file.seek(max(0, size_bytes - FINGERPRINT_BYTES))
        last = zlib.crc32(file.read(FINGERPRINT_BYTES))
    return f"{size_bytes}-{first:08x}-{last:08x}"
