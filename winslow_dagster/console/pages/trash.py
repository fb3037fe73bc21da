"""Trash: deleted projects and deleted files of the pool, what it means to delete some, and how they come back."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.pages.pool import pool_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.commands.many import MOST_AT_ONCE

room = Room(prefix="/trash")


@room.route_for("", role="viewer")
def show_trash(request: Request, front: Front) -> HTMLResponse:
    """What was deleted, the last of each kind first."""
    deleted = front.deleted_projects()
    return page(
        request,
        "trash.html",
        deleted=deleted,
        may_act=front.may_act_on(each.project for each in deleted),
        files=front.pool.trash(),
        kept_days=front.settings.trash_days,
        command=command,
    )


@room.route_for("/projects/effect", role="operator")
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


@room.route_for("/projects/{project}/purge", role="admin", method="POST")
def purge(front: Front, project: str) -> Response:
    """Remove a deleted project for good."""
    result = front.purge(project)
    if result.gone:
        return done(f"{project} is gone.")
    users = f": {', '.join(result.used_by)} use its outputs" if result.used_by else ""
    return done(f"The rest of {project} goes later{users}.")


@room.route_for("/files/{file}/restore", role="operator", method="POST")
def restore_file(front: Front, file: str) -> Response:
    """Restore a deleted file of the pool."""
    restored = front.pool.restore(file)
    return done(f"{restored.name} is in the pool again.", go_to=pool_path(restored.name))


@room.route_for("/files/{file}/purge", role="admin", method="POST")
def purge_file(front: Front, file: str) -> Response:
    """Remove the content of a deleted file of the pool for good."""
    purged = front.pool.purge(file)
    return done(f"{purged.name} is gone: {format_size(purged.freed_bytes)} are free.", go_to="/trash")
