"""Where the services of a home serve: they write it into the home, and every process of the installation reads it.

The file counts only while a supervisor holds the lock beside it: a killed one leaves the file behind.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from winslow_dagster.locks import held
from winslow_dagster.settings import Settings

DAGIT_PATH = "/dagit"
"""Where Dagster's web interface stands below the address of the web server."""


class RunningService(BaseModel):
    """One service of an installation: its process, and how often it has exited since the supervisor's start."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started_at: datetime
    exits: int


def lock_file(settings: Settings) -> Path:
    """Held by the supervisor of the services."""
    return settings.home / "services.lock"


def state_file(settings: Settings) -> Path:
    """What the supervisor writes down: the address, and the pids of the services."""
    return settings.home / "services.json"


def supervised(settings: Settings) -> bool:
    """Whether a supervisor is running the services of this home."""
    return held(lock_file(settings))


def serving_address(settings: Settings) -> str:
    """URL of the web server of this home's services; if none run, where they would listen."""
    return _state(settings).get("address") or settings.address


def serving_certificate(settings: Settings) -> str | None:
    """The web server's own certificate, as PEM, if it speaks https."""
    certificate: str | None = _state(settings).get("certificate")
    return certificate


def running_services(settings: Settings) -> tuple[RunningService, ...]:
    """The services of this home that run, in the order of their start. None without a supervisor."""
    state = _state(settings)
    return tuple(
        RunningService(name=name, pid=pid, started_at=state["started_at"][name], exits=state["exits"].get(name, 0))
        for name, pid in state.get("services", {}).items()
    )


def _state(settings: Settings) -> dict[str, Any]:
    """What the supervisor has written. Empty if none runs, or is about to start."""
    if not supervised(settings):
        return {}
    try:
        state: dict[str, Any] = json.loads(state_file(settings).read_text())
    except FileNotFoundError:
        return {}
    return state
