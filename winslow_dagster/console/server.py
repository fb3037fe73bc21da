"""Serves the web interface, with the guard in front of everything."""

from __future__ import annotations

import logging

import uvicorn

from winslow_dagster.console.dagit import open_dagit
from winslow_dagster.console.guard import Guard
from winslow_dagster.settings import BIND_ADDRESS, Settings

GRACE_S = 5
"""How long requests in progress may take once the server is to stop. The supervisor waits longer than that."""


def serve(settings: Settings) -> None:
    """Serve until TERM or INT. Needs DAGSTER_HOME, and the files that the supervisor has written there."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with open_dagit(settings.dagster_home / "workspace.yaml") as dagit:
        uvicorn.run(
            Guard(dagit, settings.allowed_hosts),
            host=BIND_ADDRESS,
            port=settings.port,
            log_level=logging.WARNING,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )
