"""A lock file that a process holds for as long as it lives. The kernel frees it, however the process ends.

A look takes the lock shared and for a moment; so whoever wants to hold it can tell those who look from one who holds.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

LOOK_EVERY_S = 0.01


def take(descriptor: int) -> bool:
    """Hold the open file's lock until the descriptor is closed. False where another process holds it."""
    while not lock_now(descriptor, fcntl.LOCK_EX):
        if not lock_now(descriptor, fcntl.LOCK_SH):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def held(path: Path) -> bool:
    """Whether a process holds the lock now. Any number may ask at once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not lock_now(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def free_within(path: Path, timeout_s: float) -> bool:
    """Wait until no process holds the lock. False where one still does after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while held(path):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def lock_now(descriptor: int, kind: int) -> bool:
    """Take the lock, LOCK_SH or LOCK_EX, if that needs no waiting; says whether it was taken."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
