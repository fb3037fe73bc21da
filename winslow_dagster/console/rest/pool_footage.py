"""Pictures and videos of the pool: the same routes as for those of a project."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from starlette.responses import FileResponse, Response

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rest.footage import (
    Count,
    FirstFrame,
    FootageOfFile,
    Index,
    LastFrame,
    TileWidth,
    Time,
    Version,
    Width,
    film_answer,
    frame_answer,
    picture_answer,
    picture_answers,
    strip_answer,
)
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.footage import Proxy

room = Room(prefix="/pool/{name}", tags=["pool"], threads=FOOTAGE)

PathOf = Annotated[str, Query(max_length=4096, description="Of a directory: the path of one of its files.")]


@room.route_for("/footage", role="viewer")
def show_footage(front: Front, name: str, path: PathOf = "") -> FootageOfFile:
    """Size, rate and number of frames of a video or a picture."""
    file = front.pool.stored_file(name, path)
    return FootageOfFile(**front.pool.footage(file).model_dump(), file=f"{file.stage}/{file.path}", version=file.blake3)


@room.route_for(
    "/frames", role="viewer", response_class=Response, responses=picture_answers("The frame; its index is a header.")
)
def show_frame(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    name: str,
    path: PathOf = "",
    index: Index = None,
    time_s: Time = None,
    width: Width = None,
    version: Version = "",
) -> Response:
    """Exactly one frame of a video, at full size or downscaled."""
    file = front.pool.stored_file(name, path)
    return frame_answer(front.pool, file, index, time_s, width=width, version=version)


@room.route_for("/picture", role="viewer", response_class=Response, responses=picture_answers("The picture."))
def show_picture(front: Front, name: str, path: PathOf = "", width: Width = None, version: Version = "") -> Response:
    """A picture, or the middle frame of a video, as every browser shows it."""
    return picture_answer(front.pool, front.pool.stored_file(name, path), width=width, version=version)


@room.route_for(
    "/filmstrip",
    role="viewer",
    response_class=Response,
    responses=picture_answers("Frames of the same size beside each other. Headers tell their indices and times."),
)
def show_filmstrip(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    name: str,
    path: PathOf = "",
    first: FirstFrame = 0,
    last: LastFrame = 2**31 - 1,
    count: Count = 12,
    width: TileWidth = 160,
    version: Version = "",
) -> Response:
    """Small frames of a video, evenly spread over a part of it."""
    file = front.pool.stored_file(name, path)
    return strip_answer(front.pool.strip(file, first, last, count=count, width=width), file, version)


@room.route_for("/proxy", role="viewer")
def show_proxy(front: Front, name: str, path: PathOf = "") -> Proxy:
    """Whether there is a copy of a video that every browser plays, and how much of it is made."""
    return front.pool.proxy(front.pool.stored_file(name, path))


# Who may look at a film may have it made playable: nothing of the pool changes.
@room.route_for("/proxy", role="viewer", method="POST", status_code=HTTPStatus.ACCEPTED)
def make_proxy(front: Front, name: str, path: PathOf = "") -> Proxy:
    """Make such a copy in the background, if there is none."""
    return front.pool.proxy(front.pool.stored_file(name, path), start=True)


@room.route_for(
    "/proxy/film", role="viewer", response_class=FileResponse, responses={200: {"content": {"video/mp4": {}}}}
)
def play_proxy(front: Front, name: str, path: PathOf = "", version: Version = "") -> FileResponse:
    """The copy, or a range of it."""
    file = front.pool.stored_file(name, path)
    return film_answer(front.pool.proxy_path(file), file, version)
