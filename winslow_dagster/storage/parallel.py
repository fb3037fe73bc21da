"""Runs a function on many items in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def each(work: Callable[[Item], object], items: Iterable[Item], *, at_once: int) -> None:
    """Call `work` on every item, `at_once` at a time. Raises the first failure; no further calls start after it."""
    with ThreadPoolExecutor(at_once, thread_name_prefix="storage") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
