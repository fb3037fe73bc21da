"""Why a run failed or is still in the queue, from what Dagster knows."""

from __future__ import annotations

from winslow_dagster.projects.dagster_api.client import DagsterClient, DagsterRun


def run_failure(dagster: DagsterClient, run_id: str) -> str:
    """Dagster's message for a run that failed."""
    message, cursor = "the run failed", None
    while True:
        page = dagster.events(run_id, cursor)
        message = next((event.message for event in reversed(page.events) if event.kind == "RUN_FAILURE"), message)
        if not page.has_more:
            return message
        cursor = page.cursor


def queue_reason(dagster: DagsterClient, waiting: DagsterRun) -> str:
    """Why a queued run has not started."""
    if "QUEUED_RUN_COORDINATOR" in dagster.silent_daemons():
        return "the run-queue daemon is not running"
    others = dagster.runs(statuses=("STARTING", "STARTED", "CANCELING"))
    busy = sorted({run.project or run.job for run in others if run.run_id != waiting.run_id})
    return f"waiting in the queue behind {', '.join(busy)}" if busy else "next in the queue"
