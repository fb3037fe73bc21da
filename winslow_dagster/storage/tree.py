"""What stands under a directory, as the files a manifest can hold.

A tree is its files: empty directories, modes and times do not survive. A symbolic link that stays inside the tree
counts as the file or directory it points to (`latest.mp4 -> run_3.mp4` gives two files; no store keeps links). A link
that leaves the tree, leads in a circle or nowhere, a socket, pipe or device, and a name that is not UTF-8 or has
control characters are errors.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import StoreError

UNUSABLE = re.compile(r"[\x00-\x1f\x7f]")
MOST_FILES = 1_000_000  # links can multiply files without bound, and a manifest has to stay a value
KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One file. `path` is its name in the tree, with forward slashes; `real` is where it stands, links resolved."""

    path: str
    real: Path
    status: os.stat_result


def survey(root: Path) -> tuple[Found, ...]:
    """The files under `root`, by path. Raises StoreError where something there cannot be kept, OSError."""
    real_root = root.resolve(strict=True)
    found: list[Found] = []
    for file in walk(real_root, "", (real_root,)):
        found.append(file)
        if len(found) > MOST_FILES:
            raise StoreError(f"more than {MOST_FILES} files", where=str(root), remedy="Pack them into archives.")
    return tuple(sorted(found, key=lambda file: file.path))


def survey_file(path: Path) -> Found:
    """One file, as the tree of that file alone. Raises StoreError where it cannot be kept, OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else kind_of(status)
        raise StoreError(f"this is {kind}", where=str(path), expected="a file")
    return Found(readable(path.name, path.parent), path, status)


def walk(directory: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[Found]:
    """The files under one directory. `above`: the real directories that lead here, the root first."""
    with os.scandir(directory) as entries:
        for entry in entries:
            path = prefix + readable(entry.name, directory)
            real = inside(Path(entry.path), path, above[0]) if entry.is_symlink() else Path(entry.path)
            status = real.stat()
            if stat.S_ISREG(status.st_mode):
                yield Found(path, real, status)
            elif not stat.S_ISDIR(status.st_mode):
                raise StoreError(
                    f"this is {kind_of(status)}",
                    where=entry.path,
                    expected="files and directories",
                    remedy="Delete it before the stage ends, or write it outside the output directory.",
                )
            elif real in above:
                raise StoreError(
                    "this link leads in a circle", where=entry.path, remedy="Delete it before the stage ends."
                )
            else:
                yield from walk(real, path + "/", (*above, real))


def kind_of(status: os.stat_result) -> str:
    """What something that is neither file nor directory is called."""
    return KINDS.get(stat.S_IFMT(status.st_mode), "neither a file nor a directory")


def readable(name: str, directory: Path) -> str:
    """The name itself. Raises StoreError where not every store could hold it."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"the name {os.fsencode(name)!r} is not UTF-8",
            where=os.fsencode(directory).decode(errors="backslashreplace"),
            remedy="Rename the file, or run the program with a UTF-8 locale.",
        ) from error
    if UNUSABLE.search(name):
        raise StoreError(f"the name {name!r} has a control character", where=str(directory), remedy="Rename the file.")
    return name


def inside(link: Path, path: str, root: Path) -> Path:
    """What a link finally points to. Raises StoreError unless that is in the tree."""
    remedy = f"Write the file itself to {path}, or link to it by a relative path inside the directory."
    try:
        real = link.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        nowhere = f"this link points to {link.readlink()}, which is not there"
        raise StoreError(nowhere, where=str(link), remedy=remedy) from error
    except RuntimeError as error:  # how pathlib tells ELOOP before Python 3.13
        raise StoreError("this link leads in a circle", where=str(link), remedy=remedy) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise StoreError("this link leads in a circle", where=str(link), remedy=remedy) from error
    if not real.is_relative_to(root):
        raise StoreError(f"this link points out of the directory, to {real}", where=str(link), remedy=remedy)
    return real
