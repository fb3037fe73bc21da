"""Waits for a store that does not answer, as long as it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from winslow_dagster.errors import StoreUnreachable

Announce = Callable[[str], None]
Result = TypeVar("Result")

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


def retried(call: Callable[[], Result], announce: Announce) -> Result:
    """Retry while the store is unreachable. `announce` may raise to give up."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return call()
        except StoreUnreachable as error:
            until = time.monotonic() + wait_s
            while time.monotonic() < until:
                announce(f"waiting for the store: {error}")
                threading.Event().wait(min(FIRST_WAIT_S, wait_s))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
