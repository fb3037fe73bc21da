"""Adds files to a local store: checksums them, then hard-links them, or copies them if links are impossible."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from winslow_dagster.storage.checksum import checksum
from winslow_dagster.storage.copying import allocated_bytes, check_unchanged, copy_file
from winslow_dagster.storage.directories import make_parents
from winslow_dagster.storage.manifest import FileEntry
from winslow_dagster.storage.store import BytesMoved
from winslow_dagster.storage.tree import TreeFile

NO_SECOND_NAME = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


def checksums(
    found: tuple[TreeFile, ...], moved: BytesMoved | None = None, known: Mapping[str, str] | None = None
) -> tuple[FileEntry, ...]:
    """The manifest entries of these files. `known`: path -> blake3 of files that are not read.

    Raises StoreError if one changes meanwhile, OSError.
    """
    entries = []
    for file in found:
        digest = (known or {}).get(file.path)
        if digest is None:
            digest = checksum(file.real, moved)
        elif moved:
            moved(file.status.st_size)
        check_unchanged(file.real, file.status)
        entries.append(FileEntry(path=file.path, size_bytes=file.status.st_size, blake3=digest))
    return tuple(entries)


def take(found: tuple[TreeFile, ...], entries: tuple[FileEntry, ...], files: Path, *, link: bool) -> None:
    """Add all files to the directory `files`.

    A file is linked only if `link` is set and nobody else can reach it; others are copied. Raises OSError, and
    StoreError if the disk has too little space for the copies.
    """
    make_parents(files, [file.path for file in found])
    own = files_of_nobody_else(found) if link else frozenset()
    to_copy = [
        (file, entry)
        for file, entry in zip(found, entries, strict=True)
        if file.real not in own or not linked(file, files / file.path)
    ]
    more_bytes = sum(allocated_bytes(file.status) for file, _ in to_copy)
    for file, entry in to_copy:
        more_bytes -= allocated_bytes(file.status)
        entry.require(copy_file(file.real, files / file.path, more_bytes=more_bytes), where=str(file.real))


def files_of_nobody_else(found: tuple[TreeFile, ...]) -> frozenset[Path]:
    """The files that belong to this user and have no other name outside the tree.

    Another user who owns a file could change it later, and so could anybody through another name.
    """
    real = {file.real: file.status for file in found}
    names = Counter((status.st_dev, status.st_ino) for status in real.values())
    return frozenset(
        path
        for path, status in real.items()
        if status.st_uid == os.geteuid() and status.st_nlink == names[status.st_dev, status.st_ino]
    )


def linked(file: TreeFile, target: Path) -> bool:
    """Hard-link a file. Returns False if the file system cannot."""
    try:
        os.link(file.real, target)
    except OSError as error:
        if error.errno in NO_SECOND_NAME:
            return False
        raise
    # The file must not have changed since its checksum was computed.
    check_unchanged(target, file.status)
    return True
