"""Names that no program which unpacks an archive takes for a way out of the folder that it unpacks to."""

from __future__ import annotations

import re
from collections.abc import Sequence

UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
"""A backslash is a part of a name here, and separates directories on Windows."""


def renamed(paths: Sequence[str]) -> dict[int, str]:
    """Position -> another path, for those that are not safe. No two paths become the same one."""
    if _all_safe(paths):
        return {}
    taken, found = set(paths), {}
    for index, path in enumerate(paths):
        safe = "/".join("_" if part in {"", ".", ".."} else UNSAFE.sub("_", part) for part in path.split("/"))
        if safe == path:
            continue
        free, number = safe, 1
        while free in taken:
            number += 1
            free = f"{safe}-{number}"
        taken.add(free)
        found[index] = free
    return found


def _all_safe(paths: Sequence[str]) -> bool:
    """In some passes over one text: a look at each of 100,000 names takes ten times as long."""
    text = f"/{'/'.join(paths)}/"
    return text.isprintable() and not any(part in text for part in ("\\", "//", "/./", "/../"))
