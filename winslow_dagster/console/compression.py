"""Compresses pages and JSON for browsers on slow lines. A list of projects is ten times smaller then.

Only answers that are sent in one piece: a stream has to arrive as it is made. The length of a compressed answer can
tell what is in it to those who make a browser send requests, which the guard lets no other site do.
"""

from __future__ import annotations

import gzip

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEVEL = 4
LEAST_BYTES = 1_000
TYPES = frozenset({"text/html", "application/json", "application/problem+json"})


class Compression:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, compressed if its sender can read that."""
        if scope["type"] != "http" or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _compressible(message):
                start = message  # its headers depend on the body
                return
            if start is not None:
                begun, start = start, None
                message = _compressed(begun, message)
                await send(begun)
            await send(message)

        await self._app(scope, receive, send_compressed)


def _compressible(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type in TYPES and "content-encoding" not in headers


def _compressed(start: Message, body: Message) -> Message:
    """The body compressed, with the headers in `start` changed to that; or as it is."""
    headers = MutableHeaders(scope=start)
    headers.add_vary_header("Accept-Encoding")
    content = body.get("body", b"")
    if body.get("more_body", False) or len(content) < LEAST_BYTES:
        return body
    smaller = gzip.compress(content, LEVEL, mtime=0)
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(smaller))
    return {**body, "body": smaller}
