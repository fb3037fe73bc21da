"""Waiting until the services are ready: the supervisor keeps in a file how far they are, and who waits reports it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.dagster_api.serving import state_file
from winslow_dagster.settings import Settings

REPORT_INTERVAL_S = 10.0
"""An idle machine has started the services before the first report."""
MAX_EXITS = 3
"""So many exits of one service, without a ready moment in between, are no accident."""
LOG_TAIL_CHARACTERS = 2000

Report = Callable[[str], None]


def read_state(settings: Settings) -> dict[str, Any]:
    """The content of the state file. Empty if no supervisor has written it."""
    try:
        state: dict[str, Any] = json.loads(state_file(settings).read_text())
    except FileNotFoundError:
        return {}
    return state


def log_of(settings: Settings, service: str) -> Path:
    """Where a service writes its log."""
    return settings.home / "logs" / f"{service}.log"


class StartReports:
    """Says now and then what a start still waits for."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._begun = self._last = time.monotonic()

    def waiting_for(self, awaited: str) -> None:
        """Called often; reports seldom."""
        now = time.monotonic()
        if now - self._last >= REPORT_INTERVAL_S:
            self._last = now
            self._report(f"starting the services ({now - self._begun:.0f} s): waiting for {awaited}")


class StartWatch:
    """One wait for services that a supervisor in another process starts."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._reports = StartReports(report)
        self._exits_before = read_state(settings).get("exits", {})

    def look(self) -> None:
        """Report what the start waits for. Raises ServiceUnavailable if a service cannot be started."""
        state = read_state(self._settings)
        for service, exits in state.get("exits", {}).items():
            count = exits - self._exits_before.get(service, 0)
            if count >= MAX_EXITS:
                log = log_of(self._settings, service)
                raise ServiceUnavailable(
                    f"the {service} exited {count} times while the services were starting",
                    where=str(log),
                    remedy=log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip(),
                )
        self._reports.waiting_for(state.get("awaits") or "the web server")
