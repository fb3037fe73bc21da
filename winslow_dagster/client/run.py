"""One run of a project over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pydantic import BaseModel

from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.views import ProjectStatus

POLL_INTERVAL_S = 1.0


class _RunState(BaseModel):
    ended: bool


class RunClient:
    """Like `Run`, which the Python API has."""

    def __init__(self, http: Http, project: str, run_id: str) -> None:
        self._http = http
        self.project = project
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"RunClient(project={self.project!r}, run_id={self.run_id!r})"

    def status(self) -> ProjectStatus:
        """The project's status."""
        return self._http.get(ProjectStatus, self._project)

    def has_ended(self) -> bool:
        """Whether nothing of it runs or waits in a queue."""
        return self._http.get(_RunState, self._path).ended

    def wait(self, progress: Callable[[ProjectStatus], None] | None = None) -> ProjectStatus:
        """Wait for the end of the run; `progress` is called every second with the project's status.

        A run that was paused, or that waits for a person, has ended too. Raises StageFailed if it failed or was
        cancelled, and ServiceUnavailable if the server does not answer: the run continues all the same.
        """
        status = self.ended(progress)
        status.raise_if_failed()
        return status

    def ended(self, progress: Callable[[ProjectStatus], None] | None = None) -> ProjectStatus:
        """Wait like `wait`, but return the status however the run ended."""
        pause = threading.Event()
        while True:
            ended, status = self.has_ended(), self.status()
            if progress is not None:
                progress(status)
            if ended and status.over:
                return status
            pause.wait(POLL_INTERVAL_S)

    def cancel(self) -> None:
        """Request its end. Raises ProjectConflict if it has ended, Forbidden."""
        self._http.send("POST", f"{self._path}/cancel")

    @property
    def _project(self) -> str:
        return f"/projects/{part(self.project)}"

    @property
    def _path(self) -> str:
        return f"{self._project}/runs/{part(self.run_id)}"
