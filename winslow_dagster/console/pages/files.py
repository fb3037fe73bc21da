"""Files: those of the pool with their users, and what is on its way there."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import Undo, done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room

room = Room(prefix="/files")


@room.route_for("", role="viewer")
def show_files(request: Request, front: Front) -> HTMLResponse:
    """The pool, and uploads."""
    sends = request.scope["winslow.caller"].may("operator")
    return page(
        request,
        "files.html",
        files=front.pool.list(),
        users=front.pool.files.users(),
        unfinished=front.uploads.unfinished() if sends else (),
        checks=front.footage_checks.of_pool(),
    )


@room.route_for("/{name}/remove", role="operator", method="POST")
def remove(front: Front, name: str) -> Response:
    """Move a file to the trash."""
    deleted = front.pool.remove(name)
    return done(
        f"{name} is no longer in the pool.", go_to="/files", undo=Undo(f"/trash/files/{deleted.id}/restore", {})
    )
