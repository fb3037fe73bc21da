"""Serves the console, with the guard in front of everything."""

from __future__ import annotations

import contextlib
import logging

import uvicorn

from winslow_dagster.console.app import create_app
from winslow_dagster.console.body_socket import BodySocketProtocol
from winslow_dagster.console.dagit import open_dagit
from winslow_dagster.console.own_services import OwnServices
from winslow_dagster.projects.database.permission import Permissions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings

GRACE_S = 5
"""How long requests in progress may take once the server is to stop. The supervisor waits longer than that."""


def serve(settings: Settings) -> None:
    """Serve until TERM or INT. Needs DAGSTER_HOME, and the files that the supervisor has written there."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with (
        contextlib.closing(ProjectRecords.open(settings.database_url)) as records,
        open_dagit(settings.dagster_home / "workspace.yaml", Permissions(records.database).may_act_on_all) as dagit,
        Installation(settings, OwnServices(settings, dagit), records=records) as installation,
    ):
        uvicorn.run(
            create_app(installation, dagit.create_asgi_app()),
            host=settings.bind,
            port=settings.port,
            http=BodySocketProtocol,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            log_level=logging.WARNING,
            access_log=False,
            # Who is believed is decided in `peer.py`: by default, uvicorn believes every program of this machine.
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        )
