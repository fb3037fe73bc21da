"""What Dagster knows of a project's runs."""

from __future__ import annotations

import contextlib

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.dagit import Dagit, DagsterRun
from winslow_dagster.projects.records import ProjectRecords


def latest_run(records: ProjectRecords, dagit: Dagit | None, project: str) -> DagsterRun | None:
    """The run that was made last, also by someone in the Launchpad; None where there is none, or nobody to ask."""
    if dagit is None:
        return None
    runs = list(dagit.runs(project=project)[:1])
    noted = records.runs(project)
    if noted and noted[0].run_id not in {run.run_id for run in runs}:
        # Deleted in Dagit, perhaps: what happened is still in our tables.
        with contextlib.suppress(NotFound):
            runs.append(dagit.run(noted[0].run_id))
    return max(runs, key=lambda run: run.created_at, default=None)


def run_failure(dagit: Dagit, run_id: str) -> str:
    """What Dagster says about why the run failed."""
    said, cursor = "the run failed", None
    while True:
        page = dagit.events(run_id, cursor)
        said = next((event.message for event in reversed(page.events) if event.kind == "RUN_FAILURE"), said)
        if not page.has_more:
            return said
        cursor = page.cursor


def queue_reason(dagit: Dagit, waiting: DagsterRun) -> str:
    """Why a queued run is not taken from the queue."""
    if "QUEUED_RUN_COORDINATOR" in dagit.silent_daemons():
        return "the daemon that takes runs from the queue does not run: start it with `winslow up`"
    others = dagit.runs(statuses=("STARTING", "STARTED", "CANCELING"))
    busy = sorted({run.project or run.job for run in others if run.run_id != waiting.run_id})
    return f"waits in the queue, behind {', '.join(busy)}" if busy else "is about to be taken from the queue"
