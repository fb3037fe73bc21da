"""Where the services of a home serve: they write it into the home, and every process of the installation reads it.

The file counts only while a supervisor holds the lock beside it: a killed one leaves the file behind.
"""

from __future__ import annotations

import json
from pathlib import Path

from winslow_dagster.locks import held
from winslow_dagster.settings import Settings

DAGIT_PATH = "/dagit"
"""Where Dagster's web interface stands below the address of the web server."""


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
    if supervised(settings):
        try:
            address: str = json.loads(state_file(settings).read_text())["address"]
        except FileNotFoundError:
            return settings.address  # they are about to start
        return address
    return settings.address
