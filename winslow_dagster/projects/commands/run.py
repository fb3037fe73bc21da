"""One run of a project: following it, and what Dagster says of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from winslow_dagster.actions import Action
from winslow_dagster.errors import ServiceUnavailable, StageFailed
from winslow_dagster.projects.dagster_api.client import DagsterClient, DagsterRun
from winslow_dagster.projects.domain.views import ProjectStatus

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.installation import Installation

LOOK_S = 0.5
"""Between two looks at a run that is waited for."""
SILENCE_S = 60.0
"""So long may the web server be away while a run is waited for: its supervisor starts it again."""

Progress = Callable[[ProjectStatus], None]


class Run:
    """One run of a project."""

    def __init__(self, actions: Installation, project: str, run_id: str) -> None:
        self._actions = actions
        self.project = project
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"Run(project={self.project!r}, run_id={self.run_id!r})"

    def status(self) -> ProjectStatus:
        """The project as it is now."""
        return self._actions.status(self.project)

    def wait(self, progress: Progress | None = None) -> ProjectStatus:
        """Wait for the end of the run; `progress` is told twice a second how it stands.

        A run that was paused, or that waits for a person, has ended too. Raises StageFailed when it failed or was
        cancelled, saying which stage and why, and ServiceUnavailable when the web server stays away.
        """
        status = self.ended(progress)
        self.raise_if_failed(status)
        return status

    def raise_if_failed(self, status: ProjectStatus) -> None:
        """Raise StageFailed where the run's end is no good one."""
        if status.state in {"failed", "cancelled"}:
            raise StageFailed(
                status.reason,
                where=f"project {self.project}",
                remedy=Action("resume_project", {"project": self.project}),
            )

    def ended(self, progress: Progress | None = None) -> ProjectStatus:
        """As `wait`, whatever the end."""
        dagit = self._actions.dagit()
        heard_at = time.monotonic()
        pause = threading.Event()
        while True:
            try:
                over = dagit.run(self.run_id).ended
                status = self.status()
                heard_at = time.monotonic()
            except ServiceUnavailable:
                if time.monotonic() - heard_at > SILENCE_S:
                    raise
            else:
                if progress is not None:
                    progress(status)
                if over and status.over:
                    return status
            pause.wait(LOOK_S)

    def cancel(self) -> None:
        """Ask that it end. Raises ProjectConflict when it has."""
        self._actions.dagit().terminate(self.run_id)


def run_failure(dagit: DagsterClient, run_id: str) -> str:
    """What Dagster says about why the run failed."""
    said, cursor = "the run failed", None
    while True:
        page = dagit.events(run_id, cursor)
        said = next((event.message for event in reversed(page.events) if event.kind == "RUN_FAILURE"), said)
        if not page.has_more:
            return said
        cursor = page.cursor


def queue_reason(dagit: DagsterClient, waiting: DagsterRun) -> str:
    """Why a queued run is not taken from the queue."""
    if "QUEUED_RUN_COORDINATOR" in dagit.silent_daemons():
        return "the run-queue daemon is not running"
    others = dagit.runs(statuses=("STARTING", "STARTED", "CANCELING"))
    busy = sorted({run.project or run.job for run in others if run.run_id != waiting.run_id})
    return f"waiting in the queue behind {', '.join(busy)}" if busy else "next in the queue"
