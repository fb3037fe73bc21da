"""Links to files: made, listed and revoked by people, and used by whoever has one."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated

from fastapi import Form, Request
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.caller import CallerOf, Front
from winslow_dagster.console.file_response import FILE_ANSWERS, archive_response, file_response
from winslow_dagster.console.pages.people import days_of
from winslow_dagster.console.peer import Peer
from winslow_dagster.console.problems import status_of
from winslow_dagster.console.ranged import THREADS
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.shares import ShareRequest, share
from winslow_dagster.console.room import Room, RowId
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.commands.shares import ShareCommands
from winslow_dagster.projects.domain.shares import SHARE_DAYS, SHARE_PATH
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.installation import Installation
from winslow_dagster.storage.archives import Archive, ArchiveFormat

room = Room()
link_room = Room(prefix=SHARE_PATH, threads=THREADS)
Text = Annotated[str, Form()]


@room.route_for("/settings/links", role="viewer")
def links(request: Request, front: Front, caller: CallerOf) -> HTMLResponse:
    """The reader's links; for administrators, those of all people."""
    everybody = caller.may("admin")
    return page(
        request,
        "settings/links.html",
        tab="links",
        shares=front.shares.list(everybody=everybody),
        everybody=everybody,
        now=front.context.clock(),
    )


@room.route_for("/settings/links/{number}/revoke", role="viewer", method="POST")
def revoke(front: Front, number: RowId) -> Response:
    """End a link."""
    revoked = front.shares.revoke(number)
    shown = {"winslow:message": {"text": f"The link to {revoked.name} is revoked.", "tone": "good"}}
    headers = {"HX-Trigger": json.dumps(shown | {"winslow:changed": {}})}
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)


@room.route_for("/shares", role="viewer", method="POST")
def create(  # noqa: PLR0913, PLR0917  # the fields of a form
    request: Request,
    front: Front,
    project: Text = "",
    stage: Text = "",
    attempt: Text = "",
    pipeline: Text = "",
    path: Text = "",
    pool: Text = "",
    form: Annotated[ArchiveFormat, Form(alias="format")] = "zip",
    days: Text = "",
) -> HTMLResponse:
    """Make a link, and show it this once. A part of a page."""
    body = ShareRequest(
        project=project or None,
        stage=stage or None,
        attempt=attempt or None,
        pipeline=pipeline or None,
        path=path or None,
        pool=pool or None,
        format=form,
        days=days_of(days) or SHARE_DAYS,
    )
    new = share(front, body)
    scheme = "https" if request.scope["winslow.peer"].secure else "http"
    address = f"{scheme}://{request.headers['host']}{new.path}"
    return page(request, "parts/new_share.html", share=new.share, address=address)


@link_room.route_for("/{key}", role="anyone")
def show(request: Request, key: str) -> HTMLResponse:
    """What a link leads to, and who shared it."""
    try:
        found = _shares(request).open(key)
    except WinslowError as error:
        return page(request, "shared.html", status=status_of(error), error=error, shared=None)
    archive = found.content if isinstance(found.content, Archive) else None
    return page(
        request,
        "shared.html",
        error=None,
        shared=found.share,
        size_bytes=found.size_bytes,
        file_count=archive.file_count if archive is not None else None,
        content=f"{SHARE_PATH}/{key}/content",
    )


def content(request: Request, key: str) -> Response:
    """The file or the archive, or a range of it."""
    shares = _shares(request)
    found = shares.open(key)
    if request.method == "GET":
        peer: Peer = request.scope["winslow.peer"]
        shares.count_use(found.share, peer.address)

    def require_valid() -> None:
        shares.require_valid(key)

    if isinstance(found.content, ProjectFile):
        read = _installation(request).pool.read_file
        return file_response(request, read, found.content, download=True, require=require_valid)
    name = found.share.name.removesuffix(found.content.suffix)
    return archive_response(request, found.content, name, require=require_valid)


for method in ("GET", "HEAD"):
    link_room.route_for(
        "/{key}/content", role="anyone", method=method, response_class=Response, responses=FILE_ANSWERS
    )(content)


def _installation(request: Request) -> Installation:
    installation: Installation = request.app.state.installation
    return installation


def _shares(request: Request) -> ShareCommands:
    return _installation(request).shares
