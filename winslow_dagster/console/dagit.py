"""Dagster's web interface as an ASGI application of this process.

Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH

# As in Dagster's own command.
STATEMENT_TIMEOUT_MS = 15_000
POOL_RECYCLE_S = 3600
POOL_MAX_OVERFLOW = 20
LIVE_DATA_POLL_MS = 2000

GRAPHQL_MEDIA_TYPE = "application/json"


class Dagit(DagsterWebserver[WorkspaceProcessContext, Any]):
    """Dagster's web server, without the ways to send GraphQL that a foreign web page can use.

    Dagster also executes queries, and mutations, from the URL of a GET request and of a POST request with any content
    type. A browser sends those for any page, without asking first. The check is here and not in the guard because only
    Dagster's own routes decide which paths are GraphQL.
    """

    def build_routes(self) -> list[BaseRoute]:
        """Dagster's routes, without the prefix that its pages put before their addresses: the mount takes that off."""
        prefix, self._app_path_prefix = self._app_path_prefix, ""
        try:
            routes: list[BaseRoute] = super().build_routes()  # type: ignore[no-untyped-call]
        finally:
            self._app_path_prefix = prefix
        return routes

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """Executes what is posted as JSON, and shows the query editor."""
        if request.method == "POST":
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != GRAPHQL_MEDIA_TYPE:
                return PlainTextResponse(
                    f"The content type {media_type!r} was refused: send GraphQL as {GRAPHQL_MEDIA_TYPE}.\n",
                    status_code=415,
                    headers={"Accept": GRAPHQL_MEDIA_TYPE},
                )
        elif request.scope["query_string"] or "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(
                f"A GraphQL query in a URL was refused: send it by POST, as {GRAPHQL_MEDIA_TYPE}.\n",
                status_code=405,
                headers={"Allow": "POST"},
            )
        response: Response = await super().graphql_http_endpoint(request)
        return response


@contextlib.contextmanager
def open_dagit(workspace: Path) -> Iterator[ASGIApp]:
    """Dagster's web interface, to be mounted at DAGIT_PATH, for the instance in DAGSTER_HOME and `workspace`."""
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_S, POOL_MAX_OVERFLOW)
        with WorkspaceProcessContext(
            instance, WorkspaceFileTarget(paths=[str(workspace)]), version=__version__
        ) as context:
            yield Dagit(context, app_path_prefix=DAGIT_PATH, live_data_poll_rate=LIVE_DATA_POLL_MS).create_asgi_app()
