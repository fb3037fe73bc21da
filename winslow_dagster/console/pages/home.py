"""Needs you: what waits for a person, what runs, and what was finished lately."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room

room = Room()


@room.route_for("/", role="viewer")
def home(request: Request, front: Front) -> HTMLResponse:
    """The first page."""
    return page(request, "home.html", projects=front.projects())
