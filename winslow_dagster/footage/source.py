"""A file to decode, wherever it is: only the ranges that the decoder asks for are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """`blake3` is the hash of its content. `read(begin, end)` is used if there is no `path` on this machine."""

    name: str
    blake3: str
    size_bytes: int
    path: Path | None = None
    read: Callable[[int, int], bytes] | None = None
