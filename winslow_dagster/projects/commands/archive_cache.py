"""The archives that were used last: one that is downloaded in many ranges is laid out once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from winslow_dagster.storage.archives import Archive

KEPT_FILES = 250_000
"""The lists of so many files stay in memory, about 80 bytes each."""


class ArchiveCache:
    """Safe to use from many threads.

    Archives are laid out one after the other, in one thread: the lists of 100,000 files, which are read for that, take
    some 60 MB for a moment, and what a thread has freed is of use to that thread only.
    """

    def __init__(self) -> None:
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="archives")
        self._archives: OrderedDict[Hashable, Archive] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Archive]) -> Archive:
        """The archive of this key."""
        with self._lock:
            found = self._archives.get(key)
            if found is not None:
                self._archives.move_to_end(key)
                return found
        made = self._maker.submit(make).result()
        with self._lock:
            self._archives[key] = made
            while len(self._archives) > 1 and sum(each.file_count for each in self._archives.values()) > KEPT_FILES:
                self._archives.popitem(last=False)
        return made
