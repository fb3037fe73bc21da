"""Whether the server answers."""

from __future__ import annotations

from pydantic import BaseModel

from winslow_dagster.console.room import Room

room = Room(tags=["health"])


class Health(BaseModel):
    """`ok` while the server answers."""

    status: str


@room.route_for("/health", role="viewer")
async def health() -> Health:
    """Whether the server answers. For what an installation needs, see the findings of `winslow doctor`."""
    return Health(status="ok")
