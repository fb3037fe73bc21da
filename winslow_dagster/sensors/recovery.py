"""Recovers runs that Dagster's run monitoring does not: those killed before they started, or while being cancelled.

Run monitoring replaces the dead worker of a started run. A run whose worker died between launch and start would only
time out, and one whose worker died during cancellation would leave its stages running until then.
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

MIN_AGE = timedelta(seconds=5)
"""A run that changed more recently may have a worker that has not taken its lock yet."""


def recover_runs(context: SensorEvaluationContext) -> SkipReason:
    """Start a worker for runs that never started; finish the cancellation of runs whose worker died during it."""
    launcher = context.instance.run_launcher
    if not isinstance(launcher, ProcessRunLauncher):
        return SkipReason("the run launcher is not ProcessRunLauncher")
    changed_before = datetime.now(UTC) - MIN_AGE
    records = context.instance.get_run_records(
        RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING], updated_before=changed_before)
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
    return SkipReason(f"recovered {', '.join(recovered)}" if recovered else "all runs have a worker")


recovery_sensor = SensorDefinition(
    name="recover_runs",
    evaluation_fn=recover_runs,
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Replaces workers that were killed before their run started, and finishes interrupted cancellations",
)
