"""The private names of Dagster's code server that are used here still mean what they meant."""

from __future__ import annotations

import inspect

from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiServicer
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer, LoadedRepositories
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.interrupts import setup_interrupt_handlers


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]  # Dagster's functions are callable


def test_the_signatures_are_those_that_are_called() -> None:
    assert {
        "server_termination_event",
        "logger",
        "server_threadpool_executor",
        "loadable_target_origin",
        "lazy_load_user_code",
        "entry_point",
        "location_name",
    } <= set(parameters(DagsterApiServer))
    assert parameters(DagsterGrpcServer)[:4] == [
        "server_termination_event",
        "dagster_api_servicer",
        "logger",
        "threadpool_executor",
    ]
    assert "socket" in parameters(DagsterGrpcServer)
    assert set(parameters(LoadedRepositories)) == {
        "loadable_target_origin",
        "entry_point",
        "container_image",
        "container_context",
        "defs_state_info",
        "code_location_name",
    }
    assert LoadableTargetOrigin(executable_path="python", module_name="one").module_name == "one"
    assert all(
        parameter.default is not inspect.Parameter.empty
        for parameter in inspect.signature(FuturesAwareThreadPoolExecutor).parameters.values()
    )
    assert parameters(serializable_error_info_from_exc_info)[0] == "exc_info"
    assert parameters(setup_interrupt_handlers) == []


def test_a_reload_is_one_call_and_what_it_replaces_is_read_by_the_others() -> None:
    assert "ReloadCode" in vars(DagsterApiServicer)
    assert parameters(DagsterApiServer.ReloadCode) == ["self", "_request", "_context"]
    read = inspect.getsource(DagsterApiServer)
    for name in (
        "_loaded_repositories",
        "_serializable_load_error",
        "_server_id",
        "_reload_lock",
        "_loadable_target_origin",
        "_entry_point",
        "_container_image",
        "_container_context",
        "_logger",
    ):
        assert f"self.{name}" in read
