"""The same work on many things at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def each(work: Callable[[Item], object], items: Iterable[Item], *, at_once: int) -> None:
    """Do the work on every item, `at_once` at a time. The first failure begins no more of it, and is raised."""
    with ThreadPoolExecutor(at_once, thread_name_prefix="storage") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
