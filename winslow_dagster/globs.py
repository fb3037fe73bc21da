"""Glob patterns: one meaning wherever a file of this project holds one.

A pattern is a relative POSIX path, compared segment by segment with the path of a file:

| in a segment | matches |
|---|---|
| `*` | any number of characters |
| `?` | one character |
| `[abc]`, `[a-z]`, `[!abc]` | one character of the set, or one outside of it |
| `**` as the whole segment | any number of directories, also none; at the end: every file below |

A leading `./` is ignored. Case matters. Names that begin with a dot are names like any other.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

ANY_DIRECTORIES = "**"
OUT_OF_REACH = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG})

Segment = re.Pattern[str] | None
"""What one name of a path must match; None stands for any number of directories."""


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern, to be continued after the pattern itself; empty for a usable one."""
    segments = pattern.removeprefix("./").split("/")
    if pattern.startswith("/"):
        return "is an absolute path"
    if ".." in segments:
        return "leads out of the directory"
    if "" in segments or "." in segments:
        return "has an empty path segment or a `.`" if pattern else "is empty"
    if any(ANY_DIRECTORIES in segment and segment != ANY_DIRECTORIES for segment in segments):
        return "has `**` beside other characters"
    return ""


def matches(path: str, pattern: str) -> bool:
    """Whether the pattern matches the whole of a relative POSIX path."""
    return _fits(path.split("/"), _compiled(pattern, 0))


def matches_ignoring_case(path: str, pattern: str) -> bool:
    """The same without regard to case: cameras write `.MP4`."""
    return _fits(path.split("/"), _compiled(pattern, re.IGNORECASE))


def matching_files(directory: Path, patterns: str | Iterable[str]) -> list[str]:
    """Relative paths of the files below `directory` that match a pattern, sorted.

    Links to files count as files. A link to a directory is followed only if a pattern names it without wildcards, so
    that links in a circle end. Directories that are missing, unreadable or nested too deeply for a path have no files.
    """
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    return sorted(path for path, _ in walked(directory, wanted, _entries))


Listing = Callable[[Path], Iterable[os.DirEntry[str]]]


def walked(
    directory: Path, patterns: Sequence[str], listing: Listing, *, ignore_case: bool = False
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The same files in any order, with what `listing` has of each. It lists one directory, and may leave out entries.

    Raises what `listing` raises.
    """
    flags = re.IGNORECASE if ignore_case else 0
    compiled = [_compiled(pattern, flags) for pattern in patterns]
    folded = str.casefold if ignore_case else str
    named = [folded(pattern.removeprefix("./")) for pattern in patterns]
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        for entry in listing(directory / prefix):
            path = prefix + entry.name
            parts = path.split("/")
            below = f"{path}/"
            is_named = any(name.startswith(folded(below)) for name in named)
            if entry.is_dir(follow_symlinks=False) or (is_named and _leads_to(Path(entry).is_dir)):
                if any(_may_match_below(parts, pattern) for pattern in compiled):
                    waiting.append(below)
            elif any(_fits(parts, pattern) for pattern in compiled) and _leads_to(Path(entry).is_file):
                yield path, entry


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            yield from entries
    except OSError as error:
        if error.errno not in OUT_OF_REACH:
            raise


def _leads_to(kind: Callable[[], bool]) -> bool:
    """Whether an entry, or what it links to, is of this kind. A link in a circle leads nowhere."""
    try:
        return kind()
    except OSError as error:
        if error.errno not in OUT_OF_REACH:
            raise
        return False


@lru_cache(maxsize=1024)
def _compiled(pattern: str, flags: int) -> tuple[Segment, ...]:
    names = pattern.removeprefix("./").split("/")
    if names[-1] == ANY_DIRECTORIES:
        names.append("*")
    return tuple(None if name == ANY_DIRECTORIES else re.compile(translate(name), flags) for name in names)


def _fits(parts: Sequence[str], pattern: Sequence[Segment]) -> bool:
    """Each `**` takes as few directories as it can, and one more whenever the rest does not fit.

    Only the latest `**` is ever tried again: what an earlier one could take, it can take too.
    """
    part = segment = 0
    retry: tuple[int, int] | None = None
    while part < len(parts):
        expected = pattern[segment] if segment < len(pattern) else None
        if segment < len(pattern) and expected is None:
            segment += 1
            retry = (part, segment)
        elif expected is not None and expected.match(parts[part]):
            part, segment = part + 1, segment + 1
        elif retry is not None:
            part, segment = retry = (retry[0] + 1, retry[1])
        else:
            return False
    return segment == len(pattern)


def _may_match_below(parts: Sequence[str], pattern: Sequence[Segment]) -> bool:
    """Whether the pattern could match a file below this directory."""
    for part, expected in zip(parts, pattern, strict=False):
        if expected is None:
            return True
        if not expected.match(part):
            return False
    return len(parts) < len(pattern)
