"""Adds files to a local store: checksums them, then hard-links them, or copies them if links are impossible."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.copying import check_unchanged, copy_file
from winslow_dagster.storage.manifest import FileEntry
from winslow_dagster.storage.store import BytesMoved
from winslow_dagster.storage.tree import TreeFile

NO_SECOND_NAME = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


def checksums(found: tuple[TreeFile, ...], moved: BytesMoved | None = None) -> tuple[FileEntry, ...]:
    """The manifest entries of these files. Raises StoreError if one changes meanwhile, OSError."""
    entries = []
    for file in found:
        digest = checksum(file.real, moved)
        check_unchanged(file.real, file.status)
        entries.append(FileEntry(path=file.path, size_bytes=file.status.st_size, blake3=digest))
    return tuple(entries)


def take(found: tuple[TreeFile, ...], entries: tuple[FileEntry, ...], files: Path) -> bool:
    """Link or copy all files into the directory `files`. Returns whether all could be linked.

    Raises StoreError if the disk has too little space for the copies, OSError.
    """
    for directory in {(files / file.path).parent for file in found}:
        directory.mkdir(parents=True, exist_ok=True)
    to_copy = [pair for pair in zip(found, entries, strict=True) if not linked(pair[0], files / pair[0].path)]
    more_bytes = sum(entry.size_bytes for _, entry in to_copy)
    for file, entry in to_copy:
        more_bytes -= entry.size_bytes
        entry.require(copy_file(file.real, files / file.path, more_bytes=more_bytes), where=str(file.real))
    return bool(found) and not to_copy


def linked(file: TreeFile, target: Path) -> bool:
    """Hard-link a file. Returns False if the file system cannot, or if another user could change the file later."""
    if os.geteuid() not in {0, file.status.st_uid}:
        return False
    try:
        os.link(file.real, target)
    except OSError as error:
        if error.errno in NO_SECOND_NAME:
            return False
        raise
    # The file must not have changed since its checksum was computed.
    check_unchanged(target, file.status)
    return True
