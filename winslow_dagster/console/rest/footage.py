"""Pictures and videos of a project: facts, exact frames, filmstrips, and pictures of any size."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import FileResponse, Response

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.console.stage_place import Place, PlaceOf
from winslow_dagster.errors import UsageError
from winslow_dagster.footage import Footage, Picture, Proxy
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import ProjectFile

room = Room(prefix="/projects/{project}", tags=["footage"], threads=FOOTAGE)

FileOf = Annotated[
    str,
    Query(description="`STAGE/PATH` of an output, `input:NAME` of an input, or `input:NAME/PATH` of one of its files."),
]
Version = Annotated[
    str,
    Query(description="The `version` of the footage. With it, the answer may be kept for ever.", max_length=64),
]
Width = Annotated[int | None, Query(ge=1, le=16384, description="Width in pixels to downscale to.")]
KEPT = "private, max-age=31536000, immutable"
ASKED_AGAIN = "private, no-cache"


class FootageOfFile(Footage):
    """`file` is its address, `version` the hash of its content."""

    file: str
    version: str


def picture_answers(description: str) -> dict[int | str, dict[str, Any]]:
    """For the description of the API."""
    return {200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": description}}


@room.route_for("/footage", role="viewer")
def show_footage(front: Front, project: str, file: FileOf, place: PlaceOf) -> FootageOfFile:
    """Size, rate and number of frames of a video or a picture."""
    handle, found = _found(front.project(project), file, place)
    return FootageOfFile(**handle.footage(found).model_dump(), file=file, version=found.blake3)


@room.route_for(
    "/frames", role="viewer", response_class=Response, responses=picture_answers("The frame; its index is a header.")
)
def show_frame(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    project: str,
    file: FileOf,
    place: PlaceOf,
    index: Annotated[int | None, Query(ge=0, description="In the order of showing, from 0.")] = None,
    time_s: Annotated[float | None, Query(ge=0, le=1e9, description="Instead: seconds after the first frame.")] = None,
    width: Width = None,
    version: Version = "",
) -> Response:
    """Exactly one frame of a video, at full size or downscaled."""
    handle, found = _found(front.project(project), file, place)
    if (index is None) == (time_s is None):
        raise UsageError("which frame?", where=f"project {project}", expected="either index or time_s")
    frame = (
        handle.frame(found, index, width=width)
        if index is not None
        else handle.frame_at(found, time_s or 0.0, width=width)
    )
    return _response(frame.content, frame.media_type, found, version, _picture_headers(frame))


@room.route_for(
    "/pictures", role="viewer", response_class=Response, responses=picture_answers("The picture, upright, in 8 bits.")
)
def show_picture(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front, project: str, file: FileOf, place: PlaceOf, width: Width = None, version: Version = ""
) -> Response:
    """A picture, or the middle frame of a video, as every browser shows it."""
    handle, found = _found(front.project(project), file, place)
    picture = handle.picture_of(found, width=width)
    return _response(picture.content, picture.media_type, found, version, _picture_headers(picture))


@room.route_for(
    "/filmstrip",
    role="viewer",
    response_class=Response,
    responses=picture_answers("Frames of the same size beside each other. Headers tell their indices and times."),
)
def show_filmstrip(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front,
    project: str,
    file: FileOf,
    place: PlaceOf,
    first: Annotated[int, Query(ge=0)] = 0,
    last: Annotated[int, Query(ge=0, le=2**31 - 1)] = 2**31 - 1,
    count: Annotated[int, Query(ge=1, le=24)] = 12,
    width: Annotated[int, Query(ge=16, le=480, description="Width of each frame.")] = 160,
    version: Version = "",
) -> Response:
    """Small frames of a video, evenly spread over a part of it."""
    handle, found = _found(front.project(project), file, place)
    strip = handle.strip(found, first, last, count=count, width=width)
    headers = {
        "Frame-Indices": ",".join(map(str, strip.indices)),
        "Frame-Times": ",".join(f"{each:.6f}" for each in strip.times_s),
        "Picture-Width": str(strip.width),
        "Picture-Height": str(strip.height),
    }
    return _response(strip.content, "image/jpeg", found, version, headers)


@room.route_for("/proxy", role="viewer")
def show_proxy(front: Front, project: str, file: FileOf, place: PlaceOf) -> Proxy:
    """Whether there is a copy of a video that every browser plays, and how much of it is made."""
    handle, found = _found(front.project(project), file, place)
    return handle.proxy(found)


# Who may look at a film may have it made playable: nothing of the project changes.
@room.route_for("/proxy", role="viewer", method="POST", status_code=HTTPStatus.ACCEPTED)
def make_proxy(front: Front, project: str, file: FileOf, place: PlaceOf) -> Proxy:
    """Make such a copy in the background, if there is none."""
    handle, found = _found(front.project(project), file, place)
    return handle.proxy(found, start=True)


@room.route_for(
    "/proxy/film", role="viewer", response_class=FileResponse, responses={200: {"content": {"video/mp4": {}}}}
)
def play_proxy(front: Front, project: str, file: FileOf, place: PlaceOf, version: Version = "") -> FileResponse:
    """The copy, or a range of it."""
    handle, found = _found(front.project(project), file, place)
    kept = KEPT if version == found.blake3 else ASKED_AGAIN
    return FileResponse(handle.proxy_path(found), media_type="video/mp4", headers={"Cache-Control": kept})


def _found(handle: ProjectHandle, file: str, place: Place) -> tuple[ProjectHandle, ProjectFile]:
    return handle, handle.file_at(file, place.attempt, pipeline=place.pipeline)


def _picture_headers(picture: Picture) -> dict[str, str]:
    return {
        "Frame-Index": str(picture.index),
        "Frame-Time": f"{picture.time_s:.6f}",
        "Picture-Width": str(picture.width),
        "Picture-Height": str(picture.height),
    }


def _response(content: bytes, media_type: str, file: ProjectFile, version: str, headers: dict[str, str]) -> Response:
    kept = KEPT if version == file.blake3 else ASKED_AGAIN
    return Response(content, media_type=media_type, headers={"Cache-Control": kept, **headers})
