"""Replacing one output file of a stage: by a file from here, or by its text edited in the browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.editing import editable_text
from winslow_dagster.console.project_view import file_path, stage_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.replace import MOST_BYTES
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.console.stage_place import PlaceOf

room = Room(prefix="/projects/{project}/stages/{stage}/replace", threads=LOGS)


@room.route_for("", role="operator")
def show_file(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request, front: Front, project: str, stage: str, place: PlaceOf, path: Annotated[str, Query()]
) -> HTMLResponse:
    """The file with what can be put in its place, and what goes out of date by that."""
    handle = front.project(project)
    file = handle.file(stage, path, pipeline=place.pipeline)
    with handle.open_file(file) as content:
        text = editable_text(content, file.size_bytes)
    return page(
        request,
        "project/replace.html",
        project=project,
        stage=stage,
        file=file,
        text=text,
        most_bytes=MOST_BYTES,
        acts=handle.may_act(),
        goes_out_of_date=handle.goes_out_of_date(stage, pipeline=place.pipeline),
        pipeline=place.pipeline,
        stage_path=stage_path,
        file_path=file_path,
        command=command,
    )
