"""A flag per run, set when its worker shall stop, and checked by the stage ops that wait for their runners."""

from __future__ import annotations

import threading

_flags: dict[str, threading.Event] = {}
_lock = threading.Lock()


def interruption_of(run_id: str) -> threading.Event:
    """The flag of the run; the same object for all callers in this process."""
    with _lock:
        return _flags.setdefault(run_id, threading.Event())
