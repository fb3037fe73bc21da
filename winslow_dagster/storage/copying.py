"""Copies large files, sharing blocks if the file system can, and computes the checksum on the way. Holes stay holes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.checksum import new_hasher
from winslow_dagster.storage.disk import disk_full, free_bytes

FICLONE = 0x40049409  # from linux/fs.h: make the file share the blocks of another
PIECE_BYTES = 8 << 20
BLOCK_BYTES = 512  # the unit of st_blocks
NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADF})


def copy_file(source: Path, target: Path, moved: Callable[[int], None] | None = None, *, more_bytes: int = 0) -> str:
    """Copy a file durably to the new file `target`. Returns the blake3 of the copy.

    `more_bytes`: the space needed for further files, so that a full disk is reported before the first copy.
    Raises OSError, and StoreError if the source changes meanwhile or the disk has too little space.
    """
    before = source.stat()
    with source.open("rb", buffering=0) as reading, target.open("x+b", buffering=0) as writing:
        shared = share_blocks(reading.fileno(), writing.fileno())
        needed_bytes = allocated_bytes(before) + more_bytes
        if not shared and needed_bytes > free_bytes(target.parent):
            raise disk_full(str(source), disk=target.parent, needed_bytes=needed_bytes)
        if not shared:
            os.ftruncate(writing.fileno(), before.st_size)
        hasher = new_hasher()
        buffer = memoryview(bytearray(PIECE_BYTES))
        offset = 0
        # Up to the initial size: a file that grows all the time would never end.
        while wanted := min(PIECE_BYTES, before.st_size - offset):
            if not shared and not copy_piece(reading.fileno(), writing.fileno(), offset, offset + wanted):
                raise changed_meanwhile(source)
            # Hash the copy, not the source: the checksum must match what is stored.
            if os.preadv(writing.fileno(), [buffer[:wanted]], offset) != wanted:
                raise changed_meanwhile(source)
            hasher.update(buffer[:wanted])
            offset += wanted
            if moved:
                moved(wanted)
        os.fsync(writing.fileno())
    check_unchanged(source, before)
    return hasher.hexdigest()


def share_blocks(source: int, target: int) -> bool:
    """Make `target` share all blocks of `source`. Returns False if the file system cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in NOT_HERE:
            return False
        raise
    return True


def allocated_bytes(status: os.stat_result) -> int:
    """The space that a copy of the file needs: holes need none."""
    return min(status.st_size, status.st_blocks * BLOCK_BYTES)


def copy_piece(source: int, target: int, begin: int, end: int) -> bool:
    """Copy what is not a hole between two offsets. Returns False if the source ends before."""
    for start, stop in data_between(source, begin, end):
        offset = start
        while offset < stop:
            count = copy_some(source, target, offset, stop - offset)
            if not count:
                return False
            offset += count
    return True


def data_between(file: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a file between two offsets that are not holes."""
    while begin < end:
        try:
            begin = os.lseek(file, begin, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but holes up to the end of the file
                raise
            return
        if begin < end:
            stop = min(os.lseek(file, begin, os.SEEK_HOLE), end)
            yield begin, stop
            begin = stop


def copy_some(source: int, target: int, offset: int, wanted_bytes: int) -> int:
    """Copy at most `wanted_bytes`. Returns the number of bytes copied, 0 at the end of the source."""
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
    """Raise StoreError if the file has changed since `before`."""
    now = source.stat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise changed_meanwhile(source)


def changed_meanwhile(source: Path) -> StoreError:
    """The error for a file that is still being written."""
    return StoreError(
        "the file changed while it was being read",
        where=str(source),
        remedy="Wait until it is completely written, and try again.",
    )
