"""What a stage has written so far. It may write anything there, also links to what it must not show."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines.model.frozen import Frozen

ENTRIES_MOST = 10_000


class GrowingFile(Frozen):
    """A file in the output directory of a running stage, as large as it is now."""

    path: str
    size_bytes: int


def growing_files(output: Path) -> tuple[GrowingFile, ...]:
    """The regular files, by path; of very many, some."""
    return tuple(sorted(_found(output), key=lambda file: file.path))


def _found(output: Path) -> Iterator[GrowingFile]:
    seen = 0
    for directory, _, names in os.walk(output):
        for name in names:
            seen += 1
            if seen > ENTRIES_MOST:
                return
            path = Path(directory, name)
            try:
                status = path.lstat()
            except OSError:
                continue  # removed meanwhile
            if stat.S_ISREG(status.st_mode):
                yield GrowingFile(path=path.relative_to(output).as_posix(), size_bytes=status.st_size)


def open_growing(output: Path, path: str) -> int:
    """A descriptor of a regular file below the directory; no link is followed. Raises NotFound."""
    parts = path.split("/")
    missing = NotFound(f"there is no file {path!r} in the output directory")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise missing
    try:
        descriptor = os.open(output, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for index, part in enumerate(parts):
            kind = os.O_DIRECTORY if index < len(parts) - 1 else os.O_NONBLOCK
            above = descriptor
            try:
                descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=above)
            finally:
                os.close(above)
    except OSError as error:
        raise missing from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise missing
    return descriptor
