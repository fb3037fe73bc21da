"""Copies of large files: by shared blocks where the file system can, else inside the kernel; checksummed on the way."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.checksum import new_hasher
from winslow_dagster.storage.disk import disk_full, free_bytes

FICLONE = 0x40049409  # from linux/fs.h: make the file share the blocks of another
PIECE_BYTES = 8 << 20
NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADF})


def copy_file(source: Path, target: Path, moved: Callable[[int], None] | None = None, *, more_bytes: int = 0) -> str:
    """Copy a file to the new file `target`, durably, and give the blake3 of what stands there now.

    `more_bytes`: the room that is needed beside this file, so that a full disk is told before the first of many.
    Raises OSError, and StoreError where the source changes meanwhile or the disk has no room for it.
    """
    before = source.stat()
    with source.open("rb", buffering=0) as reading, target.open("x+b", buffering=0) as writing:
        shared = share_blocks(reading.fileno(), writing.fileno())
        needed_bytes = before.st_size + more_bytes
        if not shared and needed_bytes > free_bytes(target.parent):
            raise disk_full(str(source), disk=target.parent, needed_bytes=needed_bytes)
        hasher = new_hasher()
        buffer = memoryview(bytearray(PIECE_BYTES))
        offset = 0
        # Up to the size it had: a file that somebody goes on writing would never end.
        while wanted := min(PIECE_BYTES, before.st_size - offset):
            count = wanted if shared else copy_piece(reading.fileno(), writing.fileno(), offset, wanted)
            # What is hashed is the copy, so the checksum is true of what is kept.
            if not count or os.preadv(writing.fileno(), [buffer[:count]], offset) != count:
                raise changed_meanwhile(source)
            hasher.update(buffer[:count])
            offset += count
            if moved:
                moved(count)
        os.fsync(writing.fileno())
    check_unchanged(source, before)
    return hasher.hexdigest()


def share_blocks(source: int, target: int) -> bool:
    """Make `target` share all blocks of `source`; False where the file system cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in NOT_HERE:
            return False
        raise
    return True


def copy_piece(source: int, target: int, offset: int, wanted_bytes: int) -> int:
    """Copy at most so many bytes and give how many it were, 0 at the end of the source."""
    try:
        return os.copy_file_range(source, target, wanted_bytes, offset, offset)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
    piece = os.pread(source, wanted_bytes, offset)
    written = 0
    while written < len(piece):
        written += os.pwrite(target, piece[written:], offset + written)
    return written


def check_unchanged(source: Path, before: os.stat_result) -> None:
    """Raise StoreError where the file is not the one that `before` describes any more."""
    now = source.stat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise changed_meanwhile(source)


def changed_meanwhile(source: Path) -> StoreError:
    """The error of a file that somebody still writes to."""
    return StoreError(
        "the file changed while it was being read",
        where=str(source),
        remedy="Wait until whoever writes it has finished, and try again.",
    )
