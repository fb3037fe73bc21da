"""The private names of Dagster's web server that are used here still mean what they meant."""

from __future__ import annotations

import inspect

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.webserver import DagsterWebserver
from starlette.routing import Route, WebSocketRoute

from winslow_dagster.console.dagit import Dagit


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]  # Dagster's functions are callable


def test_the_signatures_are_those_that_are_called() -> None:
    assert parameters(WorkspaceProcessContext)[:3] == ["instance", "workspace_load_target", "version"]
    assert WorkspaceFileTarget(paths=["workspace.yaml"]).paths == ["workspace.yaml"]
    assert parameters(DagsterInstance.optimize_for_webserver)[1:] == [
        "statement_timeout",
        "pool_recycle",
        "max_overflow",
    ]
    assert parameters(DagsterWebserver)[:3] == ["process_context", "app_path_prefix", "live_data_poll_rate"]
    assert parameters(DagsterWebserver.graphql_http_endpoint) == ["self", "request"]


def test_graphql_over_http_goes_through_the_check_of_its_content_type() -> None:
    with (
        DagsterInstance.local_temp() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget(paths=[])) as context,
    ):
        dagit = Dagit(context)
        routes = dagit.build_routes()
    changing = {
        route.path: route.endpoint for route in routes if isinstance(route, Route) and "POST" in (route.methods or ())
    }
    assert changing["/graphql"] == dagit.graphql_http_endpoint
    assert type(dagit).graphql_http_endpoint is not DagsterWebserver.graphql_http_endpoint
    # A new one needs a look: can the page of another site use it?
    assert set(changing) == {
        "/graphql",
        "/report_asset_materialization/{asset_key:path}",
        "/report_asset_check/{asset_key:path}",
        "/report_asset_observation/{asset_key:path}",
    }
    assert [route.path for route in routes if isinstance(route, WebSocketRoute)] == ["/graphql"]
