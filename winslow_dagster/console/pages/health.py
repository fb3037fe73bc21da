"""Health: what the installation needs, and whether it has it."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.findings import FindingView
from winslow_dagster.console.room import Room

room = Room()


@room.route_for("/health", role="viewer")
def health(request: Request, front: Front) -> HTMLResponse:
    """The page, at once: the findings, which take a while, load themselves."""
    return page(
        request,
        "health.html",
        services=front.services(),
        versions=front.versions(),
        nodes=front.node_usage(),
        now=datetime.now(UTC),
    )


@room.route_for("/health/findings", role="viewer")
def findings(request: Request, front: Front) -> HTMLResponse:
    """The part of the page with the findings."""
    return page(request, "parts/findings.html", findings=tuple(map(FindingView.of, front.diagnose())))
