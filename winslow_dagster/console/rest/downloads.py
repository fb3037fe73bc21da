"""Folders as one archive: the outputs of a project, of a stage or of an attempt, and files of the pool.

An archive is never stored. It has a length and an ETag all the same, and any range of it can be asked for, so that a
download that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from winslow_dagster.console.caller import Front
from winslow_dagster.console.file_response import FILE_ANSWERS, archive_response, file_response
from winslow_dagster.console.ranged import THREADS
from winslow_dagster.console.room import Room
from winslow_dagster.console.stage_place import PlaceOf
from winslow_dagster.errors import ProjectConflict
from winslow_dagster.projects.commands.downloads import open_archive
from winslow_dagster.storage.archives import Archive, ArchiveFormat

room = Room(prefix="/projects/{project}", tags=["downloads"], threads=THREADS)
pool_room = Room(prefix="/pool", tags=["downloads"], threads=THREADS)

Form = Annotated[ArchiveFormat, Query(alias="format", description="The kind of archive. Neither is compressed.")]
Version = Annotated[
    str, Query(max_length=64, description="The ETag of an earlier part: an error if the folder has changed since.")
]


def project_archive(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    project: str,
    place: PlaceOf,
    stage: str | None = None,
    form: Form = "tar",
    version: Version = "",
) -> Response:
    """The current outputs of all stages or of one, or those of an attempt, as one archive, or a range of it."""
    handle = front.project(project)
    folder = handle.output_folder(stage, place.attempt, pipeline=place.pipeline)
    archive = require_version(open_archive(front.context, folder, form), version, f"project {project}")
    return archive_response(request, archive, folder.name)


def pool_archive(request: Request, front: Front, name: str, form: Form = "tar", version: Version = "") -> Response:
    """A directory or a file of the pool as one archive, or a range of it."""
    return archive_response(request, require_version(front.pool.archive(name, form), version, f"pool:{name}"), name)


def pool_file(
    request: Request,
    front: Front,
    name: str,
    path: Annotated[str, Path(description="The path of the file in the directory.")],
    *,
    download: Annotated[bool, Query(description="Save the file instead of showing it.")] = False,
) -> Response:
    """A file of the pool, or a range of it."""
    return file_response(request, front.pool.read_file, front.pool.stored_file(name, path), download=download)


def require_version(archive: Archive, version: str, where: str) -> Archive:
    """The archive. Raises ProjectConflict if it is not the one of this tag."""
    if version.strip('"') not in {"", archive.tag}:
        raise ProjectConflict(
            "the folder has changed since the download began", where=where, remedy="Begin the download again"
        )
    return archive


for method in ("GET", "HEAD"):
    options: dict[str, Any] = {
        "response_class": Response,
        "responses": FILE_ANSWERS,
        "include_in_schema": method == "GET",
    }
    room.route_for("/archive", role="viewer", method=method, **options)(project_archive)
    pool_room.route_for("/{name}/archive", role="viewer", method=method, **options)(pool_archive)
    pool_room.route_for("/{name}/files/{path:path}", role="viewer", method=method, **options)(pool_file)
