"""The run queue over HTTP."""

from __future__ import annotations

from pydantic import BaseModel

from winslow_dagster.client.http import Http, part
from winslow_dagster.projects.domain.queue import QueueView


class _Priority(BaseModel):
    priority: int


class QueueClient:
    """Like `Winslow.queue`, which says what each method raises."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def view(self, *, first: int = 0, most: int | None = None) -> QueueView:
        """What waits, in its order, and what is in progress. Up to `most` waiting runs from the place `first` on."""
        return self._http.get(QueueView, "/queue", first=first, most=most)

    def move_to_front(self, project: str) -> int:
        """Put the runs of a project before all others; returns the priority that they have now."""
        return self._http.post(_Priority, f"/queue/{part(project)}/front", {}).priority

    def set_priority(self, project: str, priority: int) -> None:
        """Give the runs of a project a priority: a higher one goes first, and 0 is what runs have."""
        self._http.send("PUT", f"/queue/{part(project)}/priority", body={"priority": priority})

    def hold(self, project: str, reason: str = "") -> None:
        """Keep the waiting runs of a project from starting until they are released."""
        self._http.send("POST", f"/queue/{part(project)}/hold", body={"reason": reason})

    def release(self, project: str) -> None:
        """Let the held runs of a project start again."""
        self._http.send("POST", f"/queue/{part(project)}/release")
