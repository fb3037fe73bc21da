"""Serves an output file in ranges. Whatever it contains, it cannot act in the name of the person who looks at it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from io import BufferedReader
from urllib.parse import quote

from anyio import to_thread
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from winslow_dagster.console.previews import kind_of, media_type_of
from winslow_dagster.console.room import LOGS
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import ProjectFile

PART_BYTES = 256 << 10
RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")

ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:"
POLICY = f"sandbox; {ALONE}"
"""An origin of its own, without scripts and without a network: pictures with scripts in them, for example."""
REPORT_POLICY = f"sandbox allow-scripts; {ALONE}; script-src 'unsafe-inline' data: blob:"
"""The same with scripts, for charts that can be zoomed. They have everything that they need in the file itself."""


def file_response(request: Request, project: ProjectHandle, file: ProjectFile, *, download: bool) -> Response:
    """The file, or the range of it that was asked for."""
    kind = kind_of(file.path)
    tag = f'"{file.blake3}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": REPORT_POLICY if kind == "report" else POLICY,
        "Content-Disposition": disposition(file.path, download=download or kind == "other"),
    }
    media_type = media_type_of(file.path)
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    asked = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
    begin, end, status = _range_of(asked, file.size_bytes)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return Response(status_code=status, headers=headers | {"Content-Range": f"bytes */{file.size_bytes}"})
    if status == HTTPStatus.PARTIAL_CONTENT:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{file.size_bytes}"
    headers["Content-Length"] = str(end - begin)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    reader = project.open_file(file)
    reader.seek(begin)
    # Read here, so that a file that is gone is an error and not half an answer.
    first = reader.read(min(PART_BYTES, end - begin))
    return StreamingResponse(_parts(reader, first, end - begin), status, headers, media_type)


def disposition(path: str, *, download: bool) -> str:
    """The header that names a file, and says whether it is shown or saved."""
    name = quote(path.rpartition("/")[2], safe="")
    return f"{'attachment' if download else 'inline'}; filename*=UTF-8''{name}"


def _range_of(asked: str | None, size_bytes: int) -> tuple[int, int, HTTPStatus]:
    """Begin and end of what is sent. More than one range, and what is not one, is answered with the whole file."""
    found = RANGE.fullmatch(asked.strip()) if asked is not None else None
    if found is None:
        return 0, size_bytes, HTTPStatus.OK
    first, last, suffix = found.groups()
    if suffix is not None:
        begin, end = max(0, size_bytes - int(suffix)), size_bytes
    else:
        begin, end = int(first), size_bytes if last is None else min(size_bytes, int(last) + 1)
        if last is not None and int(last) < begin:
            return 0, size_bytes, HTTPStatus.OK
    if begin >= end:
        return 0, 0, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return begin, end, HTTPStatus.PARTIAL_CONTENT


async def _parts(reader: BufferedReader, part: bytes, left: int) -> AsyncIterator[bytes]:
    """A thread is taken for each part, so that a slow browser keeps none."""
    with reader:
        while part:
            yield part
            left -= len(part)
            part = await to_thread.run_sync(reader.read, min(PART_BYTES, left), limiter=LOGS)
