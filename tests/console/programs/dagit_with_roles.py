"""Serves Dagster's web server to callers that name themselves and their role: `dagit_with_roles.py WORKSPACE PORT`."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from winslow_dagster.console.caller import Caller
from winslow_dagster.console.dagit import open_dagit


def main(workspace: str, port: str) -> None:
    with open_dagit(Path(workspace), acts_on_all=lambda name: name != "outsider") as dagit:
        app = dagit.create_asgi_app()

        async def with_caller(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] in {"http", "websocket"}:
                headers = Headers(scope=scope)
                scope["winslow.caller"] = Caller(headers.get("x-name", "ulla"), headers["x-role"])  # type: ignore[arg-type]
            await app(scope, receive, send)

        uvicorn.run(with_caller, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
