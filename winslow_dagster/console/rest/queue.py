"""The run queue."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.queue import HIGHEST_PRIORITY
from winslow_dagster.projects.domain.queue import QueueView

room = Room(prefix="/queue", tags=["queue"])
First = Annotated[int, Query(ge=0)]
Most = Annotated[int | None, Query(ge=0)]


class Priority(BaseModel):
    """A higher one goes first; 0 is what runs have."""

    priority: Annotated[int, Field(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)]


class Holding(BaseModel):
    """Why runs are held."""

    reason: str = ""


@room.route_for("", role="viewer")
def queue(front: Front, first: First = 0, most: Most = None) -> QueueView:
    """What waits, in its order, with the reason and the expected start of each run; and what is in progress.

    Of what waits, up to `most` runs from the place `first` on; the first place is 0.
    """
    return front.queue.view(first=first, most=most)


@room.route_for("/{project}/front", role="operator", method="POST")
def move_to_front(front: Front, project: str) -> Priority:
    """Put the runs of a project before all others; answers the priority that they have now."""
    return Priority(priority=front.queue.move_to_front(project))


@room.route_for("/{project}/priority", role="operator", method="PUT", status_code=204)
def set_priority(front: Front, project: str, body: Priority) -> None:
    """Give the runs of a project a priority. That of a run in progress counts for its stages that wait for GPUs."""
    front.queue.set_priority(project, body.priority)


@room.route_for("/{project}/hold", role="operator", method="POST", status_code=204)
def hold(front: Front, project: str, body: Holding) -> None:
    """Keep the waiting runs of a project from starting."""
    front.queue.hold(project, body.reason)


@room.route_for("/{project}/release", role="operator", method="POST", status_code=204)
def release(front: Front, project: str) -> None:
    """Let the held runs of a project start again."""
    front.queue.release(project)
