"""Queue: what waits to run, in its order, why, and when it may start."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Query, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.queue import HIGHEST_PRIORITY

MOST_SHOWN = 100

room = Room(prefix="/queue")
Priority = Annotated[int, Form(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)]


@room.route_for("", role="viewer")
def queue(request: Request, front: Front, first: Annotated[int, Query(ge=0)] = 0) -> HTMLResponse:
    """The page, with some of the runs that wait: those from a place on."""
    view = front.queue.view(first=first, most=MOST_SHOWN)
    projects = {run.project for run in (*view.waiting, *view.in_progress) if run.project}
    return page(
        request,
        "queue.html",
        queue=view,
        most=MOST_SHOWN,
        may_act=front.may_act_on(projects),
        existing=front.context.records.names(projects),
        command=command,
    )


@room.route_for("/{project}/front", role="operator", method="POST")
def move_to_front(front: Front, project: str) -> Response:
    """Put it before all others."""
    front.queue.move_to_front(project)
    return done(f"{project} is at the front of the queue.")


@room.route_for("/{project}/priority", role="operator", method="POST")
def set_priority(front: Front, project: str, priority: Priority) -> Response:
    """Give it a priority."""
    front.queue.set_priority(project, priority)
    return done(f"{project} has priority {priority}.")


@room.route_for("/{project}/hold", role="operator", method="POST")
def hold(front: Front, project: str, reason: Annotated[str, Form()] = "") -> Response:
    """Keep it from starting."""
    front.queue.hold(project, reason)
    return done(f"{project} does not start until it is released.")


@room.route_for("/{project}/release", role="operator", method="POST")
def release(front: Front, project: str) -> Response:
    """Let it start again."""
    front.queue.release(project)
    return done(f"{project} is no longer held.")
