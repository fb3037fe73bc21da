"""The addresses of pictures and videos: as they are, downscaled, and in the whole window."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote, urlencode

from winslow_dagster.console.project_view import file_path
from winslow_dagster.projects.domain.views import ProjectFile

SHOWN_AS_IT_IS = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp", ".svg"})
"""Every browser shows these."""
PREVIEW_WIDTH = 1280
SMALL_BYTES = 400_000
"""A picture of this size is as quick as a downscaled one."""


def is_shown_as_it_is(path: str) -> bool:
    """Whether a browser shows a picture of this name without help."""
    return PurePosixPath(path).suffix.lower() in SHOWN_AS_IT_IS


def footage_path(project: str, what: str, file: str, **query: str | int | None) -> str:
    """The address of something about a file in the REST API: `frames`, `filmstrip`, `pictures`, `footage`."""
    chosen = {name: value for name, value in query.items() if value not in (None, "")}
    return f"/api/v1/projects/{quote(project, safe='')}/{what}?{urlencode({'file': file, **chosen})}"


def look_path(project: str, file: ProjectFile, **query: str | int | None) -> str:
    """The address of the page that shows a picture or a video in the whole window."""
    chosen = {name: value for name, value in query.items() if value not in (None, "")}
    address = {"file": f"{file.stage}/{file.path}", **chosen}
    return f"/projects/{quote(project, safe='')}/look?{urlencode(address)}"


def thumbnail_path(project: str, file: ProjectFile, **query: str | int | None) -> str:
    """The address of a picture at the size of a preview."""
    if is_shown_as_it_is(file.path) and (file.size_bytes <= SMALL_BYTES or file.path.lower().endswith(".svg")):
        return file_path(project, file.stage, file.path, **query)
    address = f"{file.stage}/{file.path}"
    return footage_path(project, "pictures", address, width=PREVIEW_WIDTH, version=file.blake3, **query)
