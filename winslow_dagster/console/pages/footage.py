"""One picture or video of a project in the whole window: with zoom to single pixels, and exact frames."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.footage_paths import footage_path, is_shown_as_it_is, look_path
from winslow_dagster.console.previews import kind_of
from winslow_dagster.console.project_view import file_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import FOOTAGE, Room
from winslow_dagster.console.stage_place import PlaceOf
from winslow_dagster.errors import FootageUnreadable
from winslow_dagster.pipelines.model.form import INPUT

room = Room(prefix="/projects/{project}", threads=FOOTAGE)


@room.route_for("/look", role="viewer")
def look(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    project: str,
    file: Annotated[str, Query(description="`STAGE/PATH` of an output, or `input:NAME`.")],
    place: PlaceOf,
    index: Annotated[int, Query(ge=0, description="Of a video: the frame to show first.")] = 0,
    frame: Annotated[int | None, Query(ge=0, description="Of a video: the frame to show alone, with zoom.")] = None,
) -> HTMLResponse:
    """A picture or a video."""
    handle = front.project(project)
    found = handle.file_at(file, place.attempt, pipeline=place.pipeline)
    where = {"attempt": place.attempt, "pipeline": place.pipeline}
    facts, problem = None, ""
    if not found.path.lower().endswith(".svg"):
        try:
            facts = handle.footage(found)
        except FootageUnreadable as error:
            problem = str(error)
    content = file_path(project, found.stage, found.path, **where)
    is_video = facts.kind == "video" if facts else kind_of(found.path) == "video"
    if is_shown_as_it_is(found.path) and not is_video:
        picture = content
    elif frame is not None and is_video:
        picture = footage_path(project, "frames", file, index=frame, version=found.blake3, **where)
    else:
        picture = footage_path(project, "pictures", file, version=found.blake3, **where)
    return page(
        request,
        "project/look.html",
        name=project,
        file=found,
        address=file,
        of_input=found.stage.removeprefix(INPUT) if found.stage.startswith(INPUT) else "",
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
        attempt=place.attempt,
        pipeline_query=place.pipeline,
        command=command,
    )
