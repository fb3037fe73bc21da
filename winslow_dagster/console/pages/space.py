"""Space: what takes it, and what the retention rules would free."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.domain.space import KindOfSpace

KINDS: dict[KindOfSpace, tuple[str, str]] = {
    "outputs": ("Outputs", "what stages made"),
    "logs": ("Logs", "of attempts that have ended"),
    "inputs": ("Inputs", "files of one project, and answers"),
    "pool": ("Pool", "files that any project may take"),
    "trash": ("Trash", "deleted projects and files, until they are removed for good"),
    "uploads": ("Uploads", "files on their way here"),
    "leftovers": ("Leftovers", "what nodes keep of attempts that have ended"),
    "cache": ("Input cache", "inputs kept on nodes; limited, made again"),
    "footage": ("Film previews", "limited, made again"),
    "tables": ("Table previews", "limited, made again"),
    "images": ("Images", "of the containers in which stages run"),
    "dagster": ("Dagster", "events and logs of its runs"),
}
SHOWN = 50
MOST_SHOWN = 1000


room = Room(prefix="/space")
slow_room = Room(prefix="/space", threads=LOGS)


@room.route_for("", role="viewer")
def show_space(
    request: Request, front: Front, projects: Annotated[int, Query(ge=1, le=MOST_SHOWN)] = SHOWN
) -> HTMLResponse:
    """The page: from the tables, so that it is quick."""
    space = front.space.summary(projects)
    return page(
        request,
        "space.html",
        space=space,
        kinds=KINDS,
        disks=front.space.disks(),
        more=min(MOST_SHOWN, space.projects_total) if space.projects_total > projects else 0,
        command=command,
    )


@slow_room.route_for("/rules", role="viewer")
def show_rules(request: Request, front: Front) -> HTMLResponse:
    """What the retention rules would free. A part of the page: it reads the outputs of every attempt."""
    plan = front.retention.plan()
    by_project: dict[str, tuple[int, int]] = {}
    for removal in plan.removals:
        count, size_bytes = by_project.get(removal.project, (0, 0))
        by_project[removal.project] = (count + 1, size_bytes + removal.size_bytes)
    largest = sorted(by_project.items(), key=lambda each: -each[1][1])
    return page(
        request, "space_rules.html", plan=plan, largest=largest[:SHOWN], projects=len(by_project), command=command
    )


@slow_room.route_for("/quotas", role="viewer")
def show_quotas(request: Request, front: Front) -> HTMLResponse:
    """Quotas, and how much of them is used. A part of the page: it asks the nodes what running stages write."""
    return page(request, "quotas.html", overview=front.quotas.overview())


@slow_room.route_for("/measure", role="operator", method="POST")
def measure(front: Front) -> Response:
    """Measure caches and leftovers now."""
    total_bytes = sum(each.size_bytes for each in front.space.measure())
    return done(f"Measured: {format_size(total_bytes)} on the nodes and in the home.", go_to="/space")
