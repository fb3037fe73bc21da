"""Starts one detached worker process per run, checks whether it is alive, and replaces it if not.

A worker is alive while it holds its lock (`jobs/worker.py`). Run tags are not used for that: concurrent writers lose
some of them. Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dagster import DagsterRun, DagsterRunStatus, Field
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.origin import JobPythonOrigin
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from winslow_dagster.engines.spawn import spawn_detached
from winslow_dagster.errors import EngineError
from winslow_dagster.jobs.tags import PIPELINE_DIGEST, PIPELINE_NAME
from winslow_dagster.jobs.worker import worker_pid
from winslow_dagster.settings import Settings

PINNED_VERSION = "WINSLOW_PINNED_VERSION"
"""The pipeline version that a worker serves, as JOB=PIPELINE=DIGEST: edits of the file do not affect started runs."""


class ProcessRunLauncher(RunLauncher, ConfigurableClass):
    """Workers are processes on this machine that outlive the process that launched them."""

    def __init__(self, inst_data: ConfigurableClassData | None = None, installation: str | None = None) -> None:
        self._inst_data = inst_data
        self.installation = installation
        self._settings = Settings.read()
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's own signature

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What Dagster needs to construct this launcher in another process."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The installation's id, by which clients recognize its web server. The rest are the WINSLOW_* settings."""
        return {"installation": Field(str, is_required=False, description="Id of the installation.")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Dagster's constructor."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's first worker."""
        self.start_worker(context.dagster_run)

    @property
    def supports_resume_run(self) -> bool:
        """The run monitoring daemon replaces dead workers."""
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        """Start a replacement for a dead worker."""
        run = context.dagster_run
        arguments = ResumeRunArgs(job_origin=_origin(run), run_id=run.run_id, instance_ref=self._instance.get_ref())
        self._spawn(run, arguments.get_command_args()[-2:])

    def start_worker(self, run: DagsterRun) -> None:
        """Start a worker for a run that has not started. Harmless if one is alive: the second exits at once."""
        arguments = ExecuteRunArgs(
            job_origin=_origin(run),
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        )
        self._spawn(run, arguments.get_command_args()[-2:])

    def worker_pid(self, run_id: str) -> int | None:
        """The pid of the run's worker if it is alive."""
        return worker_pid(self._lock_file(run_id))

    def terminate(self, run_id: str) -> bool:
        """Cancel the run: its worker cancels the stages; if none is alive, this process does."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if run.status is not DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)
        pid = self.worker_pid(run_id)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            return True
        # Imported here, so that a daemon that only launches runs does not load it.
        from winslow_dagster.engines.factory import open_engine

        open_engine(self._settings).cancel_run(run_id, "the run was cancelled")
        self._instance.report_run_canceled(run, "Cancelled; the worker had already exited")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """A worker is healthy while it holds its run's lock."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING also for runs without a lock file: another launcher started them, and must resume them."""
        if not self._lock_file(run.run_id).exists() or self.worker_pid(run.run_id) is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "no live worker process")

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:  # noqa: ARG002, FBT001, FBT002  # Dagster's signature
        """The end of the worker's log."""
        log_file = self._log_file(run.run_id)
        return log_file.read_text(errors="replace")[-2000:] if log_file.exists() else None

    def _lock_file(self, run_id: str) -> Path:
        return self._settings.home / "runs" / f"{run_id}.lock"

    def _log_file(self, run_id: str) -> Path:
        return self._settings.home / "runs" / f"{run_id}.log"

    def _spawn(self, run: DagsterRun, command: Sequence[str]) -> None:
        lock_file = self._lock_file(run.run_id)
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock_file.touch(mode=0o600)
        environment = dict(os.environ)
        name, digest = run.tags.get(PIPELINE_NAME), run.tags.get(PIPELINE_DIGEST)
        if name and digest:
            environment[PINNED_VERSION] = f"{run.job_name}={name}={digest}"
        spawn_detached(
            "winslow_dagster.jobs.worker",
            [str(lock_file), *command],
            env=environment,
            cwd=Path.cwd(),
            log_path=self._log_file(run.run_id),
            fork_server_socket=self._settings.sockets_dir / "workers.sock",
        )


def _origin(run: DagsterRun) -> JobPythonOrigin:
    """The origin of the run's job. Every run that came through a code server has one."""
    if run.job_code_origin is None:
        raise EngineError("the run has no job origin", where=run.run_id)
    return run.job_code_origin
