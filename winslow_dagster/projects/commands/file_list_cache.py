"""Archives and directories that were used last: what is asked for in many parts is laid out once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

KEPT_FILES = 250_000
"""The lists of so many files stay in memory, about 80 bytes each."""


class FileList(Protocol):
    """What is kept."""

    @property
    def file_count(self) -> int:
        """How many files it has."""


Kept = TypeVar("Kept", bound=FileList)


class FileListCache(Generic[Kept]):
    """Safe to use from many threads. What is kept under a key never changes.

    They are laid out one after the other, in one thread: the lists of 100,000 files, which are read for that, take
    some 60 MB for a moment, and what a thread has freed is of use to that thread only.
    """

    def __init__(self) -> None:
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="file-lists")
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What is kept under this key, or is made for it."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = self._maker.submit(make).result()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(each.file_count for each in self._kept.values()) > KEPT_FILES:
                self._kept.popitem(last=False)
        return made
