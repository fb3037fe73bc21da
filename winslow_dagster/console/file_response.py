"""Serves stored files. Whatever they contain, they cannot act in the name of the person who looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import Request
from starlette.responses import Response

from winslow_dagster.console.previews import kind_of, media_type_of
from winslow_dagster.console.ranged import Content, disposition, ranged_response
from winslow_dagster.errors import StoreError
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.storage.archives import Archive

PART_BYTES = 1 << 20

ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:"
POLICY = f"sandbox; {ALONE}"
"""An origin of its own, without scripts and without a network: pictures with scripts in them, for example."""
REPORT_POLICY = f"sandbox allow-scripts; {ALONE}; script-src 'unsafe-inline' data: blob:"
"""The same with scripts, for charts that can be zoomed. They have everything that they need in the file itself."""

FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"*/*": {}}, "description": "The file."},
    206: {"content": {"*/*": {}}, "description": "The range of the file that was asked for."},
    304: {"description": "The file is the one that the browser has."},
    416: {"description": "The file ends before the range begins."},
}
ReadFile = Callable[[ProjectFile, int, int], bytes]


def file_response(
    request: Request,
    read: ReadFile,
    file: ProjectFile,
    *,
    download: bool,
    require: Callable[[], None] | None = None,
) -> Response:
    """The file, or the range of it that was asked for. `require`: see `ranged_response`."""
    kind = kind_of(file.path)
    headers = {
        "Content-Security-Policy": REPORT_POLICY if kind == "report" else POLICY,
        "Content-Disposition": disposition(file.path.rpartition("/")[2], download=download or kind == "other"),
    }
    content = Content(
        file.size_bytes,
        file.blake3,
        media_type_of(file.path),
        lambda begin, end: _pieces(read, file, begin, end),
    )
    return ranged_response(request, content, headers, require)


def archive_response(
    request: Request, archive: Archive, name: str, require: Callable[[], None] | None = None
) -> Response:
    """The archive, or the range of it that was asked for. `name` has no suffix. `require`: see `ranged_response`."""
    headers = {
        "Content-Security-Policy": POLICY,
        "Content-Disposition": disposition(f"{name}{archive.suffix}", download=True),
    }
    content = Content(archive.size_bytes, archive.tag, archive.media_type, archive.pieces)
    return ranged_response(request, content, headers, require)


def _pieces(read: ReadFile, file: ProjectFile, begin: int, end: int) -> Iterator[bytes]:
    while begin < end:
        piece = read(file, begin, min(end, begin + PART_BYTES))
        if not piece:
            raise StoreError("the file is shorter than it was", where=f"{file.stage}/{file.path}")
        begin += len(piece)
        yield piece
