"""A lock file that a process holds until it ends. The kernel releases it, however the process ends.

A check takes the lock shared and for a moment only, so that `take` can distinguish checks from a holder.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

POLL_S = 0.01


def take(descriptor: int) -> bool:
    """Hold the open file's lock until the descriptor is closed. Returns False if another process holds it."""
    while not lock_now(descriptor, fcntl.LOCK_EX):
        if not lock_now(descriptor, fcntl.LOCK_SH):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def held(path: Path) -> bool:
    """Whether a process holds the lock now. Any number of processes may check at once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not lock_now(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def free_within(path: Path, timeout_s: float) -> bool:
    """Wait until no process holds the lock. Returns False if one still does after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while held(path):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def lock_now(descriptor: int, kind: int) -> bool:
    """Take the lock, LOCK_SH or LOCK_EX, without waiting. Returns whether it was taken."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
