"""Waiting for what other processes do: as long as it takes, and no longer."""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path

import pytest

from winslow_dagster.engines.spawn import ProcessIdentity

LOOKS = 3000
EVERY_MS = 10


def until(what: str, holds: Callable[[], object]) -> None:
    for _ in range(LOOKS):
        if holds():
            return
        select.poll().poll(EVERY_MS)
    pytest.fail(f"not in {LOOKS * EVERY_MS / 1000:.0f} s: {what}")


def until_there(path: Path) -> Path:
    until(f"{path.name} is there", path.exists)
    return path


def until_ended(process: ProcessIdentity) -> None:
    until(f"process {process.pid} has ended", lambda: not process.alive())
