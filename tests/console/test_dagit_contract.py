"""The private names of Dagster's web server that are used here still mean what they meant."""

from __future__ import annotations

import inspect

import pytest
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._core.workspace.permissions import LOCATION_SCOPED_PERMISSIONS, get_user_permissions
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import HTTPConnection
from starlette.routing import Route, WebSocketRoute

from winslow_dagster.console.caller import ROLES, Caller, Role
from winslow_dagster.console.dagit import OF_OPERATORS, CallerContext, Dagit, permissions_of


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
    assert parameters(DagsterWebserver.gen_graphql_response) == [
        *("self", "request_context", "query", "variables", "operation_name")
    ]
    assert parameters(WorkspaceRequestContext)[:6] == [
        *("instance", "current_workspace", "process_context", "version", "source", "read_only")
    ]
    for endpoint in (
        DagsterWebserver.download_debug_file_endpoint,
        DagsterWebserver.report_asset_materialization_endpoint,
        DagsterWebserver.report_asset_check_endpoint,
        DagsterWebserver.report_asset_observation_endpoint,
    ):
        assert parameters(endpoint) == ["self", "request"]


@pytest.mark.parametrize("role", ROLES)
def test_every_permission_of_dagster_belongs_to_a_role(role: Role) -> None:
    permitted = {name for name, each in permissions_of(Caller("ulla", role)).items() if each.enabled}
    everything = {name for name, each in get_user_permissions(read_only=False).items() if each.enabled}
    assert permitted == {"viewer": set(), "operator": set(OF_OPERATORS), "admin": everything}[role]
    # The routes of these permissions ask for them by location: both answers must be the same.
    assert set(OF_OPERATORS) <= LOCATION_SCOPED_PERMISSIONS


def test_every_request_is_answered_from_the_context_of_its_sender() -> None:
    with (
        DagsterInstance.local_temp() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget(paths=[])) as process,
    ):
        dagit = Dagit(process, lambda name: name != "outsider")
        for role in ROLES:
            connection = HTTPConnection({"type": "http", "winslow.caller": Caller("ulla", role)})
            with dagit.request_context(connection) as context:
                assert isinstance(context, CallerContext)
                assert context.read_only == (role == "viewer")
        outsider = HTTPConnection({"type": "http", "winslow.caller": Caller("outsider", "operator")})
        with dagit.request_context(outsider) as context:
            assert context.read_only
        with pytest.raises(KeyError), dagit.request_context(HTTPConnection({"type": "http"})):
            pass


def test_graphql_over_http_goes_through_the_check_of_its_content_type() -> None:
    with (
        DagsterInstance.local_temp() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget(paths=[])) as context,
    ):
        dagit = Dagit(context, lambda _name: True)
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
