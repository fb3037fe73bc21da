"""How a tree comes into a local store: checksummed, then by name where that can be, by copy where it cannot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.copying import check_unchanged, copy_file
from winslow_dagster.storage.manifest import FileEntry
from winslow_dagster.storage.store import BytesMoved
from winslow_dagster.storage.tree import Found

NO_SECOND_NAME = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


def checksums(found: tuple[Found, ...], moved: BytesMoved | None = None) -> tuple[FileEntry, ...]:
    """The manifest's entries for these files. Raises StoreError where one changes meanwhile, OSError."""
    entries = []
    for file in found:
        digest = checksum(file.real, moved)
        check_unchanged(file.real, file.status)
        entries.append(FileEntry(path=file.path, size_bytes=file.status.st_size, blake3=digest))
    return tuple(entries)


def take(found: tuple[Found, ...], entries: tuple[FileEntry, ...], files: Path) -> bool:
    """Give every file its name under the directory `files`; whether all could be taken without a copy.

    Raises StoreError where the disk has no room for the copies, OSError.
    """
    for directory in {(files / file.path).parent for file in found}:
        directory.mkdir(parents=True, exist_ok=True)
    to_copy = [pair for pair in zip(found, entries, strict=True) if not linked(pair[0], files / pair[0].path)]
    more_bytes = sum(entry.size_bytes for _, entry in to_copy)
    for file, entry in to_copy:
        more_bytes -= entry.size_bytes
        entry.require(copy_file(file.real, files / file.path, more_bytes=more_bytes), where=str(file.real))
    return bool(found) and not to_copy


def linked(file: Found, target: Path) -> bool:
    """Give a file a second name. False where the file system cannot, or where somebody else could change it later."""
    if os.geteuid() not in {0, file.status.st_uid}:
        return False
    try:
        os.link(file.real, target)
    except OSError as error:
        if error.errno in NO_SECOND_NAME:
            return False
        raise
    # Still what the checksum was made of.
    check_unchanged(target, file.status)
    return True
