"""Lists the files in a directory that a manifest can hold.

Empty directories, modes and times are not kept. A symbolic link inside the tree counts as the file or directory that it
points to (`latest.mp4 -> run_3.mp4` yields two files; stores have no links). Errors are: links that point out of the
tree, to nothing or in a cycle; sockets, pipes and devices; names that are not UTF-8 or contain control characters.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import NotStorable
from winslow_dagster.storage.store import BytesMoved

UNUSABLE = re.compile(r"[\x00-\x1f\x7f]")
MOST_ENTRIES = 1_000_000  # links can multiply entries without bound, and a manifest has to fit into memory
ENTRIES_BETWEEN_CALLS = 1000
KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file. `path` is its path in the tree, with forward slashes; `real` is its path with links resolved."""

    path: str
    real: Path
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Visit:
    """A directory to be listed, and the one in which it was found. `prefix` is its path in the tree, or empty."""

    prefix: str
    real: Path
    above: Visit | None

    def is_below(self, real: Path) -> bool:
        """Whether this is the directory `real`, or was found through it."""
        visit: Visit | None = self
        while visit is not None:
            if visit.real == real:
                return True
            visit = visit.above
        return False


def survey(root: Path, moved: BytesMoved | None = None) -> tuple[TreeFile, ...]:
    """The files in `root`, sorted by path. Raises NotStorable if something cannot be stored, OSError.

    `moved` is called now and then with 0, and may raise to stop.
    """
    return tuple(sorted(walk(root.resolve(strict=True), moved), key=lambda file: file.path))


def survey_file(path: Path) -> TreeFile:
    """One file as a tree of its own. Raises NotStorable if it cannot be stored, OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else kind_of(status)
        raise NotStorable(f"this is {kind}", where=str(path), expected="a file")
    return TreeFile(checked_name(path.name, path.parent), path, status)


def walk(root: Path, moved: BytesMoved | None) -> Iterator[TreeFile]:
    """The files in the directory `root`, which has no links in its path."""
    seen = 0
    waiting = [Visit("", root, None)]
    while waiting:
        visit = waiting.pop()
        with os.scandir(visit.real) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_ENTRIES:
                    raise NotStorable(
                        f"more than {MOST_ENTRIES} files and directories; symbolic links count as what they point to",
                        where=str(root),
                        remedy="Pack them into archives, and delete links to directories.",
                    )
                if moved and seen % ENTRIES_BETWEEN_CALLS == 0:
                    moved(0)
                path = visit.prefix + checked_name(entry.name, visit.real)
                is_link = entry.is_symlink()
                real = resolved_inside(Path(entry.path), root) if is_link else Path(entry.path)
                status = real.stat()
                if stat.S_ISREG(status.st_mode):
                    yield TreeFile(path, real, status)
                elif not stat.S_ISDIR(status.st_mode):
                    raise NotStorable(
                        f"this is {kind_of(status)}",
                        where=entry.path,
                        expected="files and directories",
                        remedy="Delete it, or keep it outside of the directory.",
                    )
                elif is_link and visit.is_below(real):
                    raise NotStorable(
                        "the symbolic link is part of a cycle", where=entry.path, remedy="Delete the link."
                    )
                else:
                    waiting.append(Visit(f"{path}/", real, visit))


def kind_of(status: os.stat_result) -> str:
    """The name of a file type that is neither file nor directory."""
    return KINDS.get(stat.S_IFMT(status.st_mode), "neither a file nor a directory")


def checked_name(name: str, directory: Path) -> str:
    """The name itself. Raises NotStorable unless every store can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise NotStorable(
            f"the name {os.fsencode(name)!r} is not UTF-8",
            where=os.fsencode(directory).decode(errors="backslashreplace"),
            remedy="Rename the file, or run the program with a UTF-8 locale.",
        ) from error
    if UNUSABLE.search(name):
        raise NotStorable(
            f"the name {name!r} contains a control character", where=str(directory), remedy="Rename the file."
        )
    return name


def resolved_inside(link: Path, root: Path) -> Path:
    """The final target of a link. Raises NotStorable unless it is in the tree."""
    remedy = "Put the file itself there, or link to it by a relative path inside the directory."
    try:
        real = link.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        dangling = f"the symbolic link points to {link.readlink()}, which does not exist"
        raise NotStorable(dangling, where=str(link), remedy=remedy) from error
    except RuntimeError as error:  # ELOOP, in pathlib before Python 3.13
        raise NotStorable("the symbolic link is part of a cycle", where=str(link), remedy=remedy) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise NotStorable("the symbolic link is part of a cycle", where=str(link), remedy=remedy) from error
    if not real.is_relative_to(root):
        raise NotStorable(f"the symbolic link points out of the directory, to {real}", where=str(link), remedy=remedy)
    return real
