"""How much memory processes use.

Three sizes of the same thing. RSS counts a page in each process that has it, so that forks, which share most of theirs,
are counted several times. PSS counts each page once, in parts: the sum over processes is what they cost together. USS
is what one process has for itself, and would free by ending.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes."""

    pss_bytes: int
    rss_bytes: int
    uss_bytes: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> Memory:
        """What these processes use together. Only root may look at those of Winslow."""
        found = [kibibytes(pid) for pid in pids]
        return cls(
            pss_bytes=KIB * sum(each["Pss"] for each in found),
            rss_bytes=KIB * sum(each["Rss"] for each in found),
            uss_bytes=KIB * sum(each["Private_Clean"] + each["Private_Dirty"] for each in found),
        )


def kibibytes(pid: int) -> dict[str, int]:
    """The kernel's own sums for one process; a heading precedes them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
