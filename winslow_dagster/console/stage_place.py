"""Which attempt of which pipeline a request is about, from its query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query


@dataclass(frozen=True, slots=True)
class Place:
    """An attempt by its number or task id, and another pipeline than the project's own. None is what stands first."""

    attempt: str | None = None
    pipeline: str | None = None


async def _place(
    attempt: Annotated[
        str | None,
        Query(description="An attempt by its number, counted from 1, or its task id; the latest by default."),
    ] = None,
    pipeline: Annotated[str | None, Query(description="Another pipeline that the project ran through.")] = None,
) -> Place:
    return Place(attempt or None, pipeline or None)


PlaceOf = Annotated[Place, Depends(_place)]
