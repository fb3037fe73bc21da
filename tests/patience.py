"""Waiting for what other processes do: as long as it takes, up to the time limit of the test."""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path

from winslow_dagster.engines.spawn import ProcessIdentity

EVERY_MS = 10


def until(what: str, holds: Callable[[], object]) -> None:
    """Returns once it holds. A test at its time limit shows `what` in its traceback."""
    del what
    while not holds():
        select.poll().poll(EVERY_MS)


def until_there(path: Path) -> Path:
    until(f"{path.name} is there", path.exists)
    return path


def until_ended(process: ProcessIdentity) -> None:
    until(f"process {process.pid} has ended", lambda: not process.alive())
