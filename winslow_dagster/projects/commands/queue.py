"""The queue of an installation: what is in progress, and what waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.dagster_api.client import RunStatus
from winslow_dagster.projects.dagster_api.reasons import queue_reason

WAITING: frozenset[RunStatus] = frozenset({"QUEUED", "NOT_STARTED"})
ACTIVE: tuple[RunStatus, ...] = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """One run that is queued or in progress. `reason` says why it waits; empty if it does not."""

    run_id: str
    project: str | None
    pipeline: str
    state: str
    launched_at: datetime
    started_at: datetime | None
    reason: str = ""


def queue(context: Context) -> tuple[QueuedRun, ...]:
    """The runs in the order in which they were launched; none if the services are not running."""
    dagster = context.resources.dagster_if_running()
    if dagster is None:
        return ()
    runs = sorted(dagster.runs(statuses=ACTIVE), key=lambda run: run.created_at)
    waiting = [run for run in runs if run.status in WAITING]
    reasons = {waiting[0].run_id: queue_reason(dagster, waiting[0])} if waiting else {}
    return tuple(
        QueuedRun(
            run_id=run.run_id,
            project=run.project,
            pipeline=run.job,
            state=run.status.lower(),
            launched_at=run.created_at,
            started_at=run.started_at,
            reason=reasons.get(run.run_id, "waiting in the queue") if run.status in WAITING else "",
        )
        for run in runs
    )
