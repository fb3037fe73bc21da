"""A project's picture in a list, which the browser keeps until the outputs change."""

from __future__ import annotations

from starlette.responses import Response

from winslow_dagster.projects.installation import Installation

WIDTH = 192
KEPT = "private, max-age=31536000, immutable"
SOON_ASKED_AGAIN = "private, max-age=60"
PLACEHOLDER = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 64"><path fill="none" stroke="#7d898c" stroke-width="2" '
    b'd="M28 18h40v28H28zM36 18v28M60 18v28"/></svg>'
)


def picture_response(front: Installation, project: str) -> Response:
    """A small picture of the project's outputs or of its film, or a drawing instead."""
    picture = front.project(project).thumbnail(WIDTH)
    if picture is None:
        # A film may be added, and a store that is unreachable may be back.
        return Response(PLACEHOLDER, media_type="image/svg+xml", headers={"Cache-Control": SOON_ASKED_AGAIN})
    return Response(picture.content, media_type=picture.media_type, headers={"Cache-Control": KEPT})
