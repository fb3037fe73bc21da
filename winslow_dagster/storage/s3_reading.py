"""An S3 object as a file that is read here and there."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from typing_extensions import Buffer

if TYPE_CHECKING:
    from winslow_dagster.storage.s3_bucket import S3Bucket


class ObjectReader(io.RawIOBase):
    """Reads only the ranges that are asked for, each in one request. Reading raises StoreError."""

    def __init__(self, bucket: S3Bucket, key: str, size_bytes: int) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._size_bytes = size_bytes
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """As a file."""
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size_bytes)
        if end <= self._at:
            return 0
        content = self._bucket.read_range(self._key, self._at, end)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)
