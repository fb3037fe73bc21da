"""One picture or video of a project or the pool in the whole window: with zoom to single pixels, and exact frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.footage_paths import footage_path, is_shown_as_it_is, look_path
from winslow_dagster.console.pages.pool import LIST, footage_paths, picture_path, pool_path
from winslow_dagster.console.previews import kind_of
from winslow_dagster.console.project_view import file_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.console.stage_place import PlaceOf
from winslow_dagster.errors import FootageUnreadable
from winslow_dagster.footage import Footage
from winslow_dagster.pipelines.model.form import INPUT
from winslow_dagster.projects.commands.file_footage import FileFootage
from winslow_dagster.projects.domain.views import ProjectFile

room = Room(prefix="/projects/{project}", threads=FOOTAGE)
pool_room = Room(prefix="/pool/{name}", threads=FOOTAGE)

FirstFrame = Annotated[int, Query(ge=0, description="Of a video: the frame to show first.")]
OneFrame = Annotated[int | None, Query(ge=0, description="Of a video: the frame to show alone, with zoom.")]


@dataclass(frozen=True, slots=True)
class Crumb:
    """A page above this one, or a part of it that has no page."""

    title: str
    path: str = ""


@room.route_for("/look", role="viewer")
def look(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    project: str,
    file: Annotated[str, Query(description="`STAGE/PATH` of an output, or `input:NAME`.")],
    place: PlaceOf,
    index: FirstFrame = 0,
    frame: OneFrame = None,
) -> HTMLResponse:
    """A picture or a video."""
    handle = front.project(project)
    found = handle.file_at(file, place.attempt, pipeline=place.pipeline)
    where = {"attempt": place.attempt, "pipeline": place.pipeline}
    facts, problem = _facts(handle, found)
    content = file_path(project, found.stage, found.path, **where)
    is_video = facts.kind == "video" if facts else kind_of(found.path) == "video"
    if is_shown_as_it_is(found.path) and not is_video:
        picture = content
    elif frame is not None and is_video:
        picture = footage_path(project, "frames", file, index=frame, version=found.blake3, **where)
    else:
        picture = footage_path(project, "pictures", file, version=found.blake3, **where)
    here = f"/projects/{quote(project, safe='')}"
    if found.stage.startswith(INPUT):
        within = Crumb(f"input {found.stage.removeprefix(INPUT)}")
    else:
        within = Crumb(found.stage, f"{here}/stages/{quote(found.stage, safe='')}/result")
    return page(
        request,
        "project/look.html",
        name=project,
        file=found,
        crumbs=(Crumb(project, here), within),
        facts=facts,
        problem=problem,
        is_video=is_video,
        index=index,
        content=content,
        picture=picture,
        frame=frame if is_video else None,
        film=look_path(project, found, **where),
        api={
            each: footage_path(project, each, file, version=found.blake3, **where)
            for each in ("frames", "filmstrip", "footage", "proxy")
        },
    )


@pool_room.route_for("/look", role="viewer")
def look_at_pool(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    name: str,
    path: Annotated[str, Query(max_length=4096, description="Of a directory: the path of one of its files.")] = "",
    index: FirstFrame = 0,
    frame: OneFrame = None,
) -> HTMLResponse:
    """A picture or a video of the pool."""
    found = front.pool.stored_file(name, path)
    facts, problem = _facts(front.pool, found)
    is_video = facts.kind == "video" if facts else kind_of(found.path) == "video"
    paths = footage_paths(name, found)
    if frame is not None and is_video:
        picture = f"{paths['frames']}&{urlencode({'index': frame})}"
    else:
        picture = picture_path(name, found, width=None)
    return page(
        request,
        "project/look.html",
        name=name,
        file=found,
        crumbs=(Crumb("Files", LIST), Crumb(name, pool_path(name))),
        facts=facts,
        problem=problem,
        is_video=is_video,
        index=index,
        content=paths["src"],
        picture=picture,
        frame=frame if is_video else None,
        film=paths["look"],
        api=paths,
    )


def _facts(footage: FileFootage[ProjectFile], file: ProjectFile) -> tuple[Footage | None, str]:
    """What is known of it, or why it cannot be shown."""
    if file.path.lower().endswith(".svg"):
        return None, ""
    try:
        return footage.footage(file), ""
    except FootageUnreadable as error:
        return None, str(error)
