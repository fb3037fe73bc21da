"""Dagster's web interface as an ASGI application of this process.

Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from anyio import to_thread
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._core.workspace.permissions import (
    LOCATION_SCOPED_PERMISSIONS,
    PermissionResult,
    Permissions,
    get_user_permissions,
)
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from winslow_dagster.console.caller import Caller, Role
from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH
from winslow_dagster.projects.domain.actor import Actor

# As in Dagster's own command.
STATEMENT_TIMEOUT_MS = 15_000
POOL_RECYCLE_S = 3600
POOL_MAX_OVERFLOW = 20
LIVE_DATA_POLL_MS = 2000

Answer = TypeVar("Answer", bound=Response)
ActsOnAll = Callable[[str], bool]
"""Whether the operator of this name may act on every project."""
GRAPHQL_MEDIA_TYPE = "application/json"

OF_OPERATORS = frozenset(
    {
        Permissions.LAUNCH_PIPELINE_EXECUTION,
        Permissions.LAUNCH_PIPELINE_REEXECUTION,
        Permissions.TERMINATE_PIPELINE_EXECUTION,
    }
)
"""Dagster's permissions that operators have. Those that a new version adds are for administrators."""


def permissions_of(caller: Caller) -> Mapping[str, PermissionResult]:
    """What a caller may do in Dagster's web interface."""

    def permitted(name: str, result: PermissionResult) -> PermissionResult:
        needed: Role = "operator" if name in OF_OPERATORS else "admin"
        if not result.enabled or caller.may(needed):
            return result
        return PermissionResult(enabled=False, disabled_reason=f"This needs the role {needed}")

    return {name: permitted(name, result) for name, result in get_user_permissions(read_only=False).items()}


def in_dagit(caller: Caller, acts_on_all: ActsOnAll) -> Caller:
    """The caller with the role that holds here.

    Dagster knows neither owners nor groups of projects: an operator who may not act on every one of them is a viewer.
    """
    return replace(caller, role="viewer") if caller.role == "operator" and not acts_on_all(caller.name) else caller


class CallerContext(WorkspaceRequestContext):
    """What Dagster answers one request from, restricted to what its sender may do."""

    def __init__(self, process: WorkspaceProcessContext, connection: HTTPConnection, acts_on_all: ActsOnAll) -> None:
        self.caller = in_dagit(connection.scope["winslow.caller"], acts_on_all)
        super().__init__(
            instance=process.instance,
            current_workspace=process.get_current_workspace(),
            process_context=process,
            version=process.version,
            source=connection,
            read_only=not self.caller.may("operator"),
        )

    @property
    def person(self) -> Actor | None:
        """Who starts a run by this request; None for our own services, which name the person themselves."""
        if self.caller.proof == "service":
            return None
        return Actor(self.caller.name, "dagit", self.caller.host, self.caller.role)

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        """What the caller may do anywhere."""
        return permissions_of(self.caller)

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:  # noqa: ARG002  # Dagster's signature
        """What the caller may do in a code location: there is one."""
        return {name: each for name, each in self.permissions.items() if name in LOCATION_SCOPED_PERMISSIONS}


class Dagit(DagsterWebserver[WorkspaceProcessContext, Any]):
    """Dagster's web server for callers with roles, without the ways to send GraphQL that a foreign web page can use.

    `acts_on_all` says whether an operator may act on every project.

    A viewer's mutations are not executed at all: Dagster checks no permission for some of them.

    Dagster also executes queries, and mutations, from the URL of a GET request and of a POST request with any content
    type. A browser sends those for any page, without asking first. The check is here and not in the guard because only
    Dagster's own routes decide which paths are GraphQL.
    """

    def __init__(self, process: WorkspaceProcessContext, acts_on_all: ActsOnAll) -> None:
        self._acts_on_all = acts_on_all
        super().__init__(process, app_path_prefix=DAGIT_PATH, live_data_poll_rate=LIVE_DATA_POLL_MS)

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

    def _make_request_context(self, conn: HTTPConnection) -> CallerContext:
        return CallerContext(self._process_context, conn, self._acts_on_all)

    async def gen_graphql_response(
        self,
        request_context: WorkspaceRequestContext,
        query: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
    ) -> JSONResponse:
        """Executes a query, and for those who may change something a mutation."""
        if request_context.read_only and _changes_something(query):
            message = (
                "You may look, but change nothing in Dagit. Act on projects on Winslow's own pages, as far as you may."
            )
            return JSONResponse({"data": None, "errors": [{"message": message}]}, status_code=403)
        return await super().gen_graphql_response(request_context, query, variables, operation_name)

    def execute(self, query: str, variables: dict[str, Any]) -> Any:
        """The answer to a query or mutation of this process itself, which may do everything. Not in the event loop."""
        with self._process_context.create_request_context() as context:
            response = asyncio.run(super().gen_graphql_response(context, query, variables, None))
        return json.loads(bytes(response.body))

    def pipelines_loaded(self) -> bool:
        """Whether all code locations, and at least one, are loaded."""
        entries = self._process_context.get_current_workspace().code_location_entries.values()
        return bool(entries) and all(entry.code_location is not None for entry in entries)

    # Dagster's coroutines of these routes block: here they would keep everybody waiting.

    async def download_debug_file_endpoint(self, request: Request) -> Response:
        """A run and its events as a file."""
        return await _in_thread(super().download_debug_file_endpoint, request)

    async def report_asset_materialization_endpoint(self, request: Request) -> JSONResponse:
        """Records a materialization."""
        return await _in_thread(super().report_asset_materialization_endpoint, request)

    async def report_asset_check_endpoint(self, request: Request) -> JSONResponse:
        """Records the result of an asset check."""
        return await _in_thread(super().report_asset_check_endpoint, request)

    async def report_asset_observation_endpoint(self, request: Request) -> JSONResponse:
        """Records an observation."""
        return await _in_thread(super().report_asset_observation_endpoint, request)


def _changes_something(query: str) -> bool:
    try:
        document = parse(query)
    except (GraphQLError, TypeError):
        return False  # Dagster says what is wrong with it
    operations = (each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    return any(each.operation is OperationType.MUTATION for each in operations)


async def _in_thread(endpoint: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
    await request.body()  # only this event loop can read it; the thread finds it in the request

    async def answer() -> Answer:
        return await endpoint(request)

    return await to_thread.run_sync(lambda: asyncio.run(answer()))


@contextlib.contextmanager
def open_dagit(workspace: Path, acts_on_all: ActsOnAll) -> Iterator[Dagit]:
    """Dagster's web server, to be mounted at DAGIT_PATH, for the instance in DAGSTER_HOME and `workspace`."""
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_S, POOL_MAX_OVERFLOW)
        with WorkspaceProcessContext(
            instance, WorkspaceFileTarget(paths=[str(workspace)]), version=__version__
        ) as context:
            yield Dagit(context, acts_on_all)
