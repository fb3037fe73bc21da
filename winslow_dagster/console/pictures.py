"""A project's picture in a list: a small one of its outputs, which the browser keeps until the outputs change."""

from __future__ import annotations

import io

import imagesize  # type: ignore[import-untyped]  # it has no types
from starlette.responses import Response

from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.installation import Installation

MOST_BYTES = 300_000
MOST_PIXELS = 16_000_000
"""A browser needs four bytes for each, however small the file is."""
SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
KEPT = "private, max-age=31536000, immutable"
PLACEHOLDER = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 64"><path fill="none" stroke="#7d898c" stroke-width="2" '
    b'd="M28 18h40v28H28zM36 18v28M60 18v28"/></svg>'
)


def picture_response(front: Installation, project: str) -> Response:
    """The newest picture of the project that is small enough, or a drawing instead."""
    file = front.project(project).picture(MOST_BYTES)
    content = None if file is None else _content(front, project, file)
    if content is None:
        return Response(PLACEHOLDER, media_type="image/svg+xml", headers={"Cache-Control": KEPT})
    media_type = next(kind for signature, kind in SIGNATURES.items() if content.startswith(signature))
    return Response(content, media_type=media_type, headers={"Cache-Control": KEPT})


def _content(front: Installation, project: str, file: ProjectFile) -> bytes | None:
    """The picture; None if it is not what its name says, or is too large to be drawn small."""
    try:
        with front.project(project).open_file(file) as opened:
            content = opened.read(MOST_BYTES)
    except WinslowError:
        # The store may be unreachable: a list without pictures is better than none.
        return None
    if not any(content.startswith(signature) for signature in SIGNATURES):
        return None
    width, height = imagesize.get(io.BytesIO(content))
    return content if 0 < width * height <= MOST_PIXELS and width > 0 else None
