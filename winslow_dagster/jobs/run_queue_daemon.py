"""Dagster's daemons, with our choice of the queued runs that start. How each is started, exactly once, stays Dagster's.

Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRun
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import create_daemon_of_type, daemon_controller_from_instance
from dagster._daemon.daemon import DagsterDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
from typing_extensions import override

from winslow_dagster.jobs.run_coordinator import ProjectRunCoordinator


class RunQueueDaemon(QueuedRunCoordinatorDaemon):
    """Its own choice reads every queued run in every pass, and knows no owners who take turns."""

    @override
    def _get_runs_to_dequeue(
        self, instance: DagsterInstance, concurrency_config: ConcurrencyConfig, fixed_iteration_time: float | None
    ) -> list[DagsterRun]:
        coordinator = instance.run_coordinator
        if not isinstance(coordinator, ProjectRunCoordinator):
            return super()._get_runs_to_dequeue(instance, concurrency_config, fixed_iteration_time)
        # A run whose code location does not answer is left out when it would be started.
        return coordinator.starting()


def daemons_of(instance: DagsterInstance) -> Sequence[DagsterDaemon[Any]]:
    """All daemons that the instance requires."""
    return [_daemon_of(instance, name) for name in instance.get_required_daemon_types()]


def _daemon_of(instance: DagsterInstance, name: str) -> DagsterDaemon[Any]:
    daemon = create_daemon_of_type(name, instance)
    if isinstance(daemon, QueuedRunCoordinatorDaemon):
        return RunQueueDaemon(interval_seconds=daemon.interval_seconds)
    return daemon


def serve(workspace: Path) -> None:
    """Run the daemons until INT or TERM."""
    setup_interrupt_handlers()
    try:
        with (
            capture_interrupts(),
            DagsterInstance.get() as instance,
            daemon_controller_from_instance(
                instance,
                workspace_load_target=WorkspaceFileTarget([str(workspace)]),
                gen_daemons=daemons_of,
                log_level="warning",
                code_server_log_level="warning",
            ) as controller,
        ):
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        return
