"""What a browser loads beside pages: addressed by content hash, so that it may keep them for ever."""

from __future__ import annotations

import functools
import gzip
import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

DIRECTORY = Path(__file__).with_name("static")
KEPT_FOR_EVER = "public, max-age=31536000, immutable"
TEXTS = frozenset({".css", ".js", ".svg"})
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, and its compressed form where that is smaller."""

    content: bytes
    compressed: bytes | None
    media_type: str


@functools.cache
def version() -> str:
    """A hash over all files. It is part of every address, so that scripts, which import each other, fit together."""
    digest = sha256()
    for path in sorted(DIRECTORY.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(DIRECTORY).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def address(name: str) -> str:
    """The address of a file under `static/`."""
    return f"/static/{version()}/{name}"


@functools.cache
def _read(name: str) -> Asset | None:
    path = DIRECTORY / name
    if not path.is_file() or not path.resolve().is_relative_to(DIRECTORY.resolve()):
        return None
    content = path.read_bytes()
    suffix = path.suffix
    compressed = gzip.compress(content, 9, mtime=0) if suffix in TEXTS else None
    media_type = TYPES.get(suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(content, compressed, f"{media_type}; charset=utf-8" if suffix in TEXTS else media_type)


async def serve_asset(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application below `/static`. Files of an earlier version are answered with the present ones."""
    _, _, name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/").partition("/")
    asset = None if "\0" in name or ".." in name.split("/") else _read(name)
    response: Response
    if asset is None or scope["method"] not in {"GET", "HEAD"}:
        response = PlainTextResponse("There is no such file.\n", 404)
    else:
        zipped = asset.compressed is not None and "gzip" in Headers(scope=scope).get("accept-encoding", "")
        response = Response(
            asset.compressed if zipped else asset.content,
            media_type=asset.media_type,
            headers={"Cache-Control": KEPT_FOR_EVER, "Vary": "Accept-Encoding"},
        )
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
    await response(scope, receive, send)
