"""Answers with a part of something long that never changes under its tag: a file, or an archive of files."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from winslow_dagster.errors import WinslowError

RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")
NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
CHECK_AGAIN_S = 5.0
THREADS = CapacityLimiter(8)
"""Threads that read what is downloaded."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent. `pieces(begin, end)` reads a part of it; `tag` changes with its bytes."""

    size_bytes: int
    tag: str
    media_type: str
    pieces: Callable[[int, int], Iterator[bytes]]


class Broken(OSError):
    """What was to be sent cannot be read any more: the answer stays incomplete, which its reader can tell."""


def ranged_response(
    request: Request, content: Content, headers: Mapping[str, str], require: Callable[[], None] | None = None
) -> Response:
    """The content, or the range of it that was asked for.

    `require` is called now and then while it is sent, and raises WinslowError if that is not allowed any more.
    """
    tag = f'"{content.tag}"'
    headers = {"Accept-Ranges": "bytes", "ETag": tag, "Cache-Control": "private, no-cache", **headers}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    asked = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
    begin, end, status = range_of(asked, content.size_bytes)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return Response(status_code=status, headers=headers | {"Content-Range": f"bytes */{content.size_bytes}"})
    if status == HTTPStatus.PARTIAL_CONTENT:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{content.size_bytes}"
    headers["Content-Length"] = str(end - begin)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=content.media_type)
    pieces = content.pieces(begin, end)
    # Read here, so that a file that is gone is an error and not half an answer.
    first = next(pieces, b"")
    return StreamingResponse(
        _sent(first, _checked(pieces, require), request.url.path), status, headers, content.media_type
    )


def disposition(name: str, *, download: bool) -> str:
    """The header that names a file, and says whether it is shown or saved (RFC 6266)."""
    kind, plain = "attachment" if download else "inline", NOT_PLAIN.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def range_of(asked: str | None, size_bytes: int) -> tuple[int, int, HTTPStatus]:
    """Begin and end of what is sent. More than one range, and what is not one, is answered with the whole."""
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


def _checked(pieces: Iterator[bytes], require: Callable[[], None] | None) -> Iterator[bytes]:
    checked_at = time.monotonic()
    for piece in pieces:
        if require is not None and time.monotonic() - checked_at > CHECK_AGAIN_S:
            require()
            checked_at = time.monotonic()
        yield piece


async def _sent(first: bytes, pieces: Iterator[bytes], path: str) -> AsyncIterator[bytes]:
    """A thread is taken for each piece, so that a slow browser keeps none."""
    yield first
    try:
        while (piece := await to_thread.run_sync(next, pieces, None, limiter=THREADS)) is not None:
            yield piece
    except WinslowError as error:
        logging.getLogger(__name__).warning("the download of %s ends before its end: %s", path, error)
        raise Broken(str(error)) from error
