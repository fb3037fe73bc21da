"""Projects that are to be compared: the stages that they have in common, each a comparison of its current outputs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.compare_query import CompareQuery
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.compare import MOST_ATTEMPTS
from winslow_dagster.console.room import Room

room = Room()


@room.route_for("/compare/projects", role="viewer")
def choose_stage(
    request: Request,
    front: Front,
    projects: Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=MOST_ATTEMPTS)] = [],  # noqa: B006  # FastAPI copies it
) -> HTMLResponse:
    """The stages that can be compared."""
    chosen = tuple(dict.fromkeys(projects))
    stages = [
        (each, CompareQuery(attempts=tuple(facts.name for facts in each.attempts)).address())
        for each in front.comparisons.shared_stages(chosen)
    ]
    return page(request, "compare/projects.html", projects=chosen, stages=stages)
