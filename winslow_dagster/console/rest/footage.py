"""Pictures and videos of a project: facts, exact frames, filmstrips, and pictures of any size."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import FileResponse, Response

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.console.stage_place import Place, PlaceOf
from winslow_dagster.errors import UsageError
from winslow_dagster.footage import Footage, Picture, Proxy, Strip
from winslow_dagster.projects.commands.file_footage import FileFootage
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
Index = Annotated[int | None, Query(ge=0, description="In the order of showing, from 0.")]
Time = Annotated[float | None, Query(ge=0, le=1e9, description="Instead: seconds after the first frame.")]
FirstFrame = Annotated[int, Query(ge=0)]
LastFrame = Annotated[int, Query(ge=0, le=2**31 - 1)]
Count = Annotated[int, Query(ge=1, le=24)]
TileWidth = Annotated[int, Query(ge=16, le=480, description="Width of each frame.")]
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
    index: Index = None,
    time_s: Time = None,
    width: Width = None,
    version: Version = "",
) -> Response:
    """Exactly one frame of a video, at full size or downscaled."""
    handle, found = _found(front.project(project), file, place)
    return frame_answer(handle, found, index, time_s, width=width, version=version)


@room.route_for(
    "/pictures", role="viewer", response_class=Response, responses=picture_answers("The picture, upright, in 8 bits.")
)
def show_picture(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    front: Front, project: str, file: FileOf, place: PlaceOf, width: Width = None, version: Version = ""
) -> Response:
    """A picture, or the middle frame of a video, as every browser shows it."""
    handle, found = _found(front.project(project), file, place)
    return picture_answer(handle, found, width=width, version=version)


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
    first: FirstFrame = 0,
    last: LastFrame = 2**31 - 1,
    count: Count = 12,
    width: TileWidth = 160,
    version: Version = "",
) -> Response:
    """Small frames of a video, evenly spread over a part of it."""
    handle, found = _found(front.project(project), file, place)
    return strip_answer(handle.strip(found, first, last, count=count, width=width), found, version)


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
    return film_answer(handle.proxy_path(found), found, version)


def _found(handle: ProjectHandle, file: str, place: Place) -> tuple[ProjectHandle, ProjectFile]:
    return handle, handle.file_at(file, place.attempt, pipeline=place.pipeline)


def frame_answer(  # noqa: PLR0913  # the parts of its address, by name
    footage: FileFootage[ProjectFile],
    file: ProjectFile,
    index: int | None,
    time_s: float | None,
    *,
    width: int | None,
    version: str,
) -> Response:
    """One frame, by its index or its time. Raises UsageError unless there is one of them."""
    if (index is None) == (time_s is None):
        raise UsageError("which frame?", where=f"{file.stage}/{file.path}", expected="either index or time_s")
    if index is not None:
        frame = footage.frame(file, index, width=width)
    else:
        frame = footage.frame_at(file, time_s or 0.0, width=width)
    return _response(frame.content, frame.media_type, file, version, _picture_headers(frame))


def picture_answer(
    footage: FileFootage[ProjectFile], file: ProjectFile, *, width: int | None, version: str
) -> Response:
    """A picture, or the middle frame of a video."""
    picture = footage.picture_of(file, width=width)
    return _response(picture.content, picture.media_type, file, version, _picture_headers(picture))


def strip_answer(strip: Strip, file: ProjectFile, version: str) -> Response:
    """Frames beside each other."""
    headers = {
        "Frame-Indices": ",".join(map(str, strip.indices)),
        "Frame-Times": ",".join(f"{each:.6f}" for each in strip.times_s),
        "Picture-Width": str(strip.width),
        "Picture-Height": str(strip.height),
    }
    return _response(strip.content, "image/jpeg", file, version, headers)


def film_answer(path: Path, file: ProjectFile, version: str) -> FileResponse:
    """The copy of a video that every browser plays, or a range of it."""
    kept = KEPT if version == file.blake3 else ASKED_AGAIN
    return FileResponse(path, media_type="video/mp4", headers={"Cache-Control": kept})


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
