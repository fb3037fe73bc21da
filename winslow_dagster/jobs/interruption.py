"""One flag a run: set when its worker was asked to stop, looked at by the stage ops that wait for their runners."""

from __future__ import annotations

import threading

_flags: dict[str, threading.Event] = {}
_lock = threading.Lock()


def interruption_of(run_id: str) -> threading.Event:
    """The flag of the run, the same one for every caller in this process."""
    with _lock:
        return _flags.setdefault(run_id, threading.Event())
