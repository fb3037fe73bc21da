"""Directories of any depth: walks through them, creates them, measures them, deletes them. Links are not followed.

Nothing here is recursive: a stage may nest directories more deeply than Python can recurse.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import uuid4

from winslow_dagster.storage.disk import WRITABLE_DIRECTORY

READABLE_FILE = stat.S_IRUSR
OUT_OF_REACH = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG})
"""Errors of a directory that was deleted meanwhile, that this user may not list, or whose path is too long."""


def entries_below(directory: Path, *, skip: Collection[int] = ()) -> Iterator[os.DirEntry[str]]:
    """Everything below a directory; each directory before its content. Raises OSError.

    `skip`: error numbers of directories that are passed over because they cannot be listed.
    """
    waiting = [os.fspath(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:
            if error.errno not in skip:
                raise


def statuses_below(directory: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Everything below a directory that can be reached; each directory before its content. Raises OSError."""
    for entry in entries_below(directory, skip=OUT_OF_REACH):
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            if error.errno not in OUT_OF_REACH:
                raise
        else:
            yield entry, status


def bytes_below(directory: Path) -> int:
    """The size of the files below a directory, as far as they can be reached. A file with several names counts once."""
    sizes = {
        (status.st_dev, status.st_ino): status.st_size
        for _, status in statuses_below(directory)
        if not stat.S_ISDIR(status.st_mode)
    }
    return sum(sizes.values())


def make_parents(root: Path, paths: Collection[str]) -> None:
    """Create the directories of these relative paths of files. Raises OSError."""
    directories: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    for directory in sorted(directories):  # A directory sorts before those in it.
        (root / directory).mkdir(exist_ok=True)


def make_accessible(directory: Path) -> None:
    """Let this user list and change every directory, and read every file, that belongs to it. Raises OSError.

    Does nothing if the directory does not exist. A file with another hard link stays as it is: the other one may be in
    a directory of somebody else.
    """
    if not directory.is_dir():
        return
    _permit(directory, directory.stat())
    for entry, status in statuses_below(directory):
        if not stat.S_ISLNK(status.st_mode):
            _permit(Path(entry), status)


def _permit(path: Path, status: os.stat_result) -> None:
    is_directory = stat.S_ISDIR(status.st_mode)
    needed = WRITABLE_DIRECTORY if is_directory else READABLE_FILE
    is_own = status.st_uid == os.geteuid() and (is_directory or status.st_nlink == 1)
    if is_own and status.st_mode & needed != needed:
        path.chmod(stat.S_IMODE(status.st_mode) | needed)


def remove_directory(path: Path) -> None:
    """Delete a directory with all its content, even if read-only. Does nothing if it does not exist. Raises OSError.

    Nested directories are moved up to `path` first, because their paths may be longer than the system accepts.
    """
    if not path.is_dir():
        return
    mark = uuid4().hex
    moved = 0
    waiting = [path]
    path.chmod(WRITABLE_DIRECTORY)
    while waiting:
        directory = waiting.pop()
        with os.scandir(directory) as entries:
            found = [(Path(entry), entry.is_dir(follow_symlinks=False)) for entry in entries]
        for below, is_directory in found:
            if not is_directory:
                below.unlink()
                continue
            below.chmod(WRITABLE_DIRECTORY)
            if directory != path:
                moved += 1
                waiting.append(below.rename(path / f".{mark}.{moved}"))
            else:
                waiting.append(below)
        if directory != path:
            directory.rmdir()
    path.rmdir()
