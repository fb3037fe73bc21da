"""blake3 of large files, on all cores and with one buffer of memory.

Files are read, not mapped: a mapping of 2 GiB counts as 2 GiB of resident memory, and a file that shrinks while mapped
kills the process. Reading costs a quarter more processor time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

BUFFER_BYTES = 2 << 20


@dataclass
class HashingThreads:
    """The number of threads of a hasher.

    The thread pool starts at first use, and a fork does not copy its threads: a child forked later would wait for them
    forever, and therefore uses one thread.
    """

    count: int = blake3.AUTO
    started: bool = False

    def start(self) -> int:
        """The number for a new hasher."""
        self.started = True
        return self.count

    def after_fork(self) -> None:
        """Called in each forked child."""
        if self.started:
            self.count = 1


THREADS = HashingThreads()
os.register_at_fork(after_in_child=THREADS.after_fork)


def new_hasher() -> blake3:
    """A hasher that uses all cores for large pieces."""
    return blake3(max_threads=THREADS.start())


def checksum(path: Path, moved: Callable[[int], None] | None = None) -> str:
    """The blake3 of a file up to its current length, in hexadecimal. Raises OSError."""
    hasher = new_hasher()
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with path.open("rb", buffering=0) as file:
        left_bytes = os.fstat(file.fileno()).st_size
        while count := file.readinto(buffer[:left_bytes]):
            left_bytes -= count
            hasher.update(buffer[:count])
            if moved:
                moved(count)
    return hasher.hexdigest()
