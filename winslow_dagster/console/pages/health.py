"""Health: what the installation needs, and whether it has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.checkup import Checkups
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.findings import FindingView
from winslow_dagster.console.room import Room

room = Room()
MOST = 10**9


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
def findings(
    request: Request,
    check: Annotated[int, Query(ge=0, le=MOST)] = 0,
    look: Annotated[int, Query(ge=0, le=MOST)] = 0,
) -> HTMLResponse:
    """The part of the page with the findings so far of a new check, or of one that goes on, at the so many-th look."""
    checkups: Checkups = request.app.state.checkups
    checkup = checkups.read(check) if check else checkups.begin()
    # Read first: what is found meanwhile is part of the next look.
    done, found = checkup.done, checkup.findings
    return page(
        request,
        "parts/findings.html",
        findings=tuple(map(FindingView.of, found)),
        problem=checkup.problem,
        check=checkup.number,
        done=done,
        look=look + 1,
    )
