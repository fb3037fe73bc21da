"""The checksums of files that arrive in parts, computed while they arrive, so that a complete one is not read again."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from blake3 import blake3


@dataclass(frozen=True)
class Digests:
    """What this process has seen of each file from its first byte on. After a restart, nothing: then a file is read.

    The state of a hasher can be kept in memory only.
    """

    _seen: dict[str, tuple[int, blake3]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str, offset_bytes: int) -> blake3 | None:
        """The hasher of a file up to here; None if this process has not seen all of that."""
        with self._lock:
            seen_bytes, hasher = self._seen.pop(key, (0, None))
        if offset_bytes == 0:
            # One thread is faster than any network. More of them spin between the pieces, which cost a quarter of the
            # server's processor time, and kept a proxy on the same machine waiting.
            return blake3(max_threads=1)
        return hasher if seen_bytes == offset_bytes else None

    def keep(self, key: str, offset_bytes: int, hasher: blake3) -> None:
        """Remember a hasher until the next part arrives."""
        with self._lock:
            self._seen[key] = (offset_bytes, hasher)

    def forget(self, key: str) -> None:
        """Forget a file."""
        with self._lock:
            self._seen.pop(key, None)

    def digest(self, key: str, size_bytes: int) -> str | None:
        """The checksum of a file of this size, if all of it was seen."""
        with self._lock:
            seen_bytes, hasher = self._seen.get(key, (0, None))
        return hasher.hexdigest() if hasher is not None and seen_bytes == size_bytes else None
