"""Brings back runs that Dagster's own monitoring leaves lying: killed before they began, or while they were cancelled.

Run monitoring replaces the dead worker of a run that has started. A run whose worker died between launch and start
would only time out, and one whose worker died while cancelling would leave its stages running until then.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
)

from winslow_dagster.jobs.launcher import ProcessRunLauncher

SETTLED_AFTER = timedelta(seconds=5)
"""A run that changed more recently may have a worker that is just taking its lock."""


def recover_runs(context: SensorEvaluationContext) -> SkipReason:
    """Start another worker for runs that never began; end the cancelling of runs whose worker died at it."""
    launcher = context.instance.run_launcher
    if not isinstance(launcher, ProcessRunLauncher):
        return SkipReason("runs are not launched by ProcessRunLauncher; nothing to recover")
    settled = datetime.now(UTC) - SETTLED_AFTER
    records = context.instance.get_run_records(
        RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING], updated_before=settled)
    )
    recovered = []
    for record in records:
        run = record.dagster_run
        if launcher.worker_pid(run.run_id) is not None:
            continue
        if run.status is DagsterRunStatus.STARTING:
            launcher.start_worker(run)
        else:
            launcher.terminate(run.run_id)
        recovered.append(run.run_id)
    return SkipReason(f"recovered {', '.join(recovered)}" if recovered else "every run has its worker")


recovery_sensor = SensorDefinition(
    name="recover_runs",
    evaluation_fn=recover_runs,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Restarts workers that were killed before their run began, and finishes interrupted cancellations",
)
