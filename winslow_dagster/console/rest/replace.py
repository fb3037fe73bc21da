"""Replacing an output file of a stage: the body of the request is the file."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Annotated, BinaryIO, cast

from anyio import to_thread
from fastapi import Query, Request
from pydantic import BaseModel

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.errors import InputRejected
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.inputs.uploads import InputStream
from winslow_dagster.projects.installation import Installation

MOST_BYTES = 2 << 30
IN_MEMORY_BYTES = 1 << 20

room = Room(prefix="/projects/{project}", tags=["project"])


class Replaced(BaseModel):
    """The attempt that was made by hand. `goes_out_of_date`: stages that have to run again, which `resume` does.

    `run_id` is the run that does so, if one was asked for.
    """

    project: str
    stage: str
    task_id: str
    message: str
    goes_out_of_date: tuple[str, ...]
    run_id: str | None = None


@room.route_for("/files/{stage}/{path:path}", role="operator", method="PUT")
async def replace_file(  # noqa: PLR0913  # the parts of its address, by name
    request: Request,
    front: Front,
    project: str,
    stage: str,
    path: str,
    *,
    name: Annotated[str, Query(max_length=255, description="The name of the file that is sent.")] = "",
    pipeline: Annotated[str | None, Query(description="Another pipeline that the project ran through.")] = None,
    reason: Annotated[str, Query(max_length=1_000)] = "",
    resume: Annotated[bool, Query(description="Run the stages that follow.")] = False,
) -> Replaced:
    """Put the body of the request in the place of a current output file: a new attempt, made by hand."""
    # What would be refused anyway is refused before the file is read.
    await to_thread.run_sync(partial(_require_file, front, project, stage, path, pipeline), limiter=LOGS)
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(front.settings.home)) as spooled:
        content = cast("BinaryIO", spooled)
        await _receive(request, content)
        given = InputStream(name or path.rpartition("/")[2], content)
        act = partial(_replace, front, project, stage, path, given, pipeline=pipeline, reason=reason, resume=resume)
        return await to_thread.run_sync(act, limiter=LOGS)


def _require_file(front: Installation, project: str, stage: str, path: str, pipeline: str | None) -> None:
    handle = front.project(project)
    front.context.require_may_act(project)
    handle.file(stage, path, pipeline=pipeline)


def _replace(  # noqa: PLR0913  # see `replace_file`
    front: Installation,
    project: str,
    stage: str,
    path: str,
    given: InputStream,
    *,
    pipeline: str | None,
    reason: str,
    resume: bool,
) -> Replaced:
    handle = front.project(project)
    outdated = handle.goes_out_of_date(stage, pipeline=pipeline)
    attempt = handle.replace(stage, path, given, pipeline=pipeline, reason=reason)
    run = handle.resume(pipeline=pipeline, reason=reason or f"{path} was replaced") if resume and outdated else None
    return Replaced(
        project=project,
        stage=stage,
        task_id=attempt.task_id,
        message=attempt.message,
        goes_out_of_date=outdated,
        run_id=None if run is None else run.run_id,
    )


async def _receive(request: Request, content: BinaryIO) -> None:
    """Write the body to the file. Raises InputRejected if it is too large, or not as large as its header says."""
    header = request.headers.get("content-length", "")
    declared = int(header) if header.isascii() and header.isdigit() else None
    _require_at_most(declared or 0)
    size = 0
    async for piece in request.stream():
        size += len(piece)
        _require_at_most(size)
        await to_thread.run_sync(content.write, piece, limiter=LOGS)
    if declared is not None and size != declared:
        raise InputRejected(
            f"{size} bytes of the file have arrived", expected=f"{declared} bytes", remedy="Send it again"
        )
    content.seek(0)


def _require_at_most(size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise InputRejected(
            "the file is too large to be sent",
            expected=f"at most {format_size(MOST_BYTES)}",
            remedy="Copy it to the server, and use `winslow replace` there",
        )
