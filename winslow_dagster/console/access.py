"""Finds out who sends a request, before any route sees it."""

from __future__ import annotations

import getpass

from starlette.types import ASGIApp, Receive, Scope, Send

from winslow_dagster.console.caller import Caller
from winslow_dagster.projects.installation import Installation


class Access:
    """An ASGI application around another. It puts the `Caller` into the scope as `winslow.caller`."""

    def __init__(self, app: ASGIApp, installation: Installation) -> None:
        self._app = app
        self._installation = installation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request as the person who runs the services: nobody else reaches this address."""
        if scope["type"] in {"http", "websocket"}:
            host = (scope.get("client") or ("",))[0]
            scope["winslow.caller"] = Caller(getpass.getuser(), "admin", host)
        await self._app(scope, receive, send)
