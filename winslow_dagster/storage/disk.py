"""File system helpers: errors that name the path and the free space, durable writes, locks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from winslow_dagster.errors import DiskFull, StoreError
from winslow_dagster.locks import lock_now
from winslow_dagster.storage.parallel import each

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
READ_ONLY_FILE = 0o444
READ_ONLY_DIRECTORY = 0o555
WRITABLE_DIRECTORY = 0o700
LONGEST_PATH_BYTES = 4096  # PATH_MAX of Linux
SHOWN_OF_PATH = 80
SYNCS_AT_ONCE = 8  # the journal commits many fsyncs together when they arrive together


@contextmanager
def disk_errors(where: str, *, disk: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn an OSError of the block into a StoreError about `where`; for a full `disk` it states the free space."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(where, disk=disk, needed_bytes=needed_bytes) from error
        if error.errno == errno.ENAMETOOLONG:
            raise path_too_long(str(error.filename), where=where) from error
        place = f" ({os.fsdecode(error.filename)})" if error.filename is not None else ""
        reason = error.strerror or str(error)
        raise StoreError(f"{reason}{place}", where=where, remedy=f"Check {disk} and its permissions.") from error


def disk_full(where: str, *, disk: Path, needed_bytes: int | None) -> DiskFull:
    """The error for a full disk, with the bytes needed (if known) and the bytes free."""
    needed = "" if needed_bytes is None else f"{needed_bytes} bytes needed, "
    return DiskFull(
        f"the disk is full: {needed}{free_bytes(disk)} free",
        where=f"{where} on {disk}",
        remedy="Free space on it or use a larger disk, and try again.",
    )


def path_too_long(path: str, *, where: str) -> StoreError:
    """The error for a path that the system does not accept. Such a path is not shown in full."""
    head, tail = path[:SHOWN_OF_PATH], path[-SHOWN_OF_PATH:]
    return StoreError(
        f"the path {head}…{tail} is too long: it has {len(os.fsencode(path))} bytes",
        where=where,
        expected=f"less than {LONGEST_PATH_BYTES} bytes, and at most 255 for one name",
        remedy="Use shorter names and fewer nested directories, or pack the files into an archive.",
    )


def free_bytes(path: Path) -> int:
    """The bytes this user can still write to the file system of `path` or of its nearest existing parent."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def make_directories(path: Path) -> None:
    """Create a directory and its parents durably."""
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync(directory.parent)


def sync(path: Path) -> None:
    """Sync a file or directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Iterable[Path]) -> None:
    """Sync files and directories to disk."""
    each(sync, paths, at_once=SYNCS_AT_ONCE)


def write_durably(path: Path, content: bytes, *, scratch: Path) -> None:
    """Write `content` to `path`, durably and atomically. `scratch`: an unused path on the same file system."""
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.chmod(READ_ONLY_FILE)
    scratch.replace(path)
    sync(path.parent)


def move_directory(source: Path, target: Path) -> None:
    """Rename a directory, even if read-only. Does nothing if it does not exist."""
    if source.is_dir():
        source.chmod(WRITABLE_DIRECTORY)  # a read-only directory cannot be moved to another parent
        source.rename(target)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A temporary path in the directory of `target`, which is renamed to `target` if the block succeeds.

    One writer at a time; it overwrites what a killed writer left.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    partial = target.with_name(f".{blake3(target.name.encode()).hexdigest(16)}.partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; waits for it. The kernel frees it when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def sole_holder(path: Path) -> Iterator[None]:
    """Like `locked`, for temporary lock files: the file is deleted at the end."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_still(path, descriptor):
            break
        os.close(descriptor)  # the previous holder deleted the file: locking it has no effect any more
    try:
        yield
    finally:
        path.unlink()
        os.close(descriptor)


def is_still(path: Path, descriptor: int) -> bool:
    """Whether the path is the file that the descriptor refers to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def try_lock(path: Path) -> int | None:
    """Lock the file `path` without waiting. Returns its descriptor, held until closed; None if another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if lock_now(descriptor, fcntl.LOCK_EX):
        return descriptor
    os.close(descriptor)
    return None
