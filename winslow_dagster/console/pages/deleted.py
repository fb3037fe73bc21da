"""Deleted projects: what it means to delete some, and those that can be restored."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.many import MOST_AT_ONCE

PATH = "/deleted-projects"
room = Room()


@room.route_for(PATH, role="viewer")
def deleted_projects(request: Request, front: Front) -> HTMLResponse:
    """The deleted projects, the last one first."""
    deleted = front.deleted_projects()
    return page(
        request,
        "deleted.html",
        deleted=deleted,
        may_act=front.may_act_on(each.project for each in deleted),
        kept_days=front.settings.trash_days,
        command=command,
    )


@room.route_for(f"{PATH}/effect", role="operator")
def effect(
    request: Request,
    front: Front,
    project: Annotated[list[str], Query(min_length=1, max_length=MOST_AT_ONCE)],
    *,
    leave: bool = False,
) -> HTMLResponse:
    """What it means to delete these projects. A part of a page. `leave`: the page is gone with the project."""
    effects = [front.project(name).deletion_effect() for name in dict.fromkeys(project)]
    return page(request, "parts/delete.html", effects=effects, leave=leave, command=command("delete", *project))


@room.route_for(f"{PATH}/{{project}}/purge", role="admin", method="POST")
def purge(front: Front, project: str) -> Response:
    """Remove a deleted project for good."""
    result = front.purge(project)
    if result.gone:
        return done(f"{project} is gone.")
    users = f": {', '.join(result.used_by)} use its outputs" if result.used_by else ""
    return done(f"The rest of {project} goes later{users}.")
