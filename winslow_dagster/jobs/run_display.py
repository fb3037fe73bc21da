"""Shows in Dagit why a run ended before a stage: Dagster calls it a success with skipped steps."""

from __future__ import annotations

import threading

from dagster import OpExecutionContext

from winslow_dagster.jobs.tags import ENDED_BEFORE_A_STAGE
from winslow_dagster.projects.dagster_api.run_completion import end_of
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.records import ProjectRecords


class RunDisplay:
    """One per run worker: two threads that tag a run at once would lose a tag."""

    def __init__(self, records: ProjectRecords) -> None:
        self._holds = Holds(records.database)
        self._lock = threading.Lock()

    def show_holds(self, context: OpExecutionContext) -> None:
        """Tag the run with the outcome that it will have because of the stages that were held back, and the reason."""
        with self._lock:
            outcome, reason = end_of("SUCCESS", (), self._holds.holds([context.run_id]))
            if outcome in ENDED_BEFORE_A_STAGE:
                context.instance.add_run_tags(context.run_id, {ENDED_BEFORE_A_STAGE[outcome]: reason})
