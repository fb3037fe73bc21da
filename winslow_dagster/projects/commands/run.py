"""One run of a project: follow it, wait for its end, cancel it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.domain.views import ProjectStatus

POLL_INTERVAL_S = 0.5
MAX_SILENCE_S = 60.0
"""How long the web server may be away while a run is followed: its supervisor restarts it. The database may be away for
as long as it likes."""

Progress = Callable[[ProjectStatus], None]


class Run:
    """One run of a project."""

    def __init__(self, context: Context, project: str, run_id: str) -> None:
        self._context = context
        self.project = project
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"Run(project={self.project!r}, run_id={self.run_id!r})"

    def status(self) -> ProjectStatus:
        """The project's status."""
        return self._context.status(self.project)

    def wait(self, progress: Progress | None = None) -> ProjectStatus:
        """Wait for the end of the run; `progress` is called twice a second with the project's status.

        A run that was paused, or that waits for a person, has ended too. Raises StageFailed if it failed or was
        cancelled, with the stage and the reason, and ServiceUnavailable if the web server stays away. While the
        database is away, the last known status says so as its reason.
        """
        status = self.ended(progress)
        status.raise_if_failed()
        return status

    def has_ended(self) -> bool:
        """Whether nothing of it runs or waits in a queue."""
        # Not the same client for ever: the services may come back at another address.
        found = self._context.dagster().runs_by_id([self.run_id]).get(self.run_id)
        if found is None:
            self._context.reconcile(self.project)
        return found is None or found.ended

    def ended(self, progress: Progress | None = None) -> ProjectStatus:
        """Wait like `wait`, but return the status however the run ended."""
        self._context.dagster()
        status: ProjectStatus | None = None
        answered_at = time.monotonic()
        pause = threading.Event()
        while True:
            try:
                ended = self.has_ended()
                status = self.status()
                answered_at = time.monotonic()
            except ServiceUnavailable as error:
                if not self._context.records.database.answers():
                    answered_at = time.monotonic()
                elif time.monotonic() - answered_at > MAX_SILENCE_S:
                    raise
                if progress is not None and status is not None:
                    progress(status.model_copy(update={"reason": f"waiting: {error.what}"}))
            else:
                if progress is not None:
                    progress(status)
                if ended and status.over:
                    self._context.reconcile(self.project)
                    return status
            pause.wait(POLL_INTERVAL_S)

    def cancel(self) -> None:
        """Request its end. Raises ProjectConflict if it has ended, Forbidden."""
        self._context.require_may_act(self.project)
        self._context.dagster().terminate(self.run_id)
