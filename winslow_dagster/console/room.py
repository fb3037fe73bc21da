"""A room of the console: routes that state who may use them, and whose blocking calls have threads of their own."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from winslow_dagster.console.caller import Role, caller_of, require

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

PAGES = CapacityLimiter(24)
"""Threads of pages and REST routes. Dagster's web interface has the default ones."""
LOGS = CapacityLimiter(1)
"""The thread that reads logs and files of a local store. It computes: with eight, each page got a ninth of the
processor."""
WAITING_FOR_A_BUCKET = 4
"""So many instead, if the store is a bucket."""
FOOTAGE = CapacityLimiter(max(2, min(8, (os.cpu_count() or 2) // 2)))
"""Threads that wait for a decoder of pictures or videos: each takes a processor, and up to 3 GiB of memory."""
THUMBNAILS = CapacityLimiter(2)
"""The same for lists of projects, which ask for many at once and must not keep a person from a frame."""


RowId = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""The id of a row, as part of a path. A database fails for a number that it cannot have."""


class Room(APIRouter):
    """A router whose every route names the least role that may use it.

    Endpoints are plain functions, which run in one of the room's threads, or coroutines, which must not block.
    """

    def __init__(self, prefix: str = "", *, threads: CapacityLimiter = PAGES, **options: Any) -> None:
        super().__init__(prefix=prefix, **options)
        self._threads = threads

    def route_for(
        self, path: str, *, role: Role | Literal["anyone"], method: str = "GET", **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Register an endpoint. `options` are those of FastAPI's `add_api_route`.

        `anyone`: also those who have not logged in, if `access.py` lets them through to the path.
        """

        def register(endpoint: Endpoint) -> Endpoint:
            asynchronous = inspect.iscoroutinefunction(endpoint) or inspect.isasyncgenfunction(endpoint)
            status = options.get("status_code", HTTPStatus.OK)
            runs = endpoint if asynchronous else _threaded(_as_json(endpoint, status), self._threads)
            allowed = [] if role == "anyone" else [Depends(functools.partial(_require, role))]
            self.add_api_route(
                path,
                runs,
                methods=[method],
                dependencies=allowed,
                **options | {"openapi_extra": options.get("openapi_extra", {}) | {"x-role": role}},
            )
            return endpoint

        return register


async def _require(role: Role, request: Request) -> None:
    require(caller_of(request), role, request.url.path)


def _as_json(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    """The endpoint with what it returns written as JSON already.

    FastAPI would check and write it in the event loop: meanwhile, a window of a log would keep everybody waiting.
    """
    returned = get_type_hints(endpoint, include_extras=True)["return"]
    if returned is type(None) or (isinstance(returned, type) and issubclass(returned, Response)):
        return endpoint
    written = TypeAdapter(returned)

    @functools.wraps(endpoint)
    def answer(**arguments: Any) -> Response:
        content = written.dump_json(endpoint(**arguments), by_alias=True)
        return Response(content, status, media_type="application/json")

    return answer


def _threaded(endpoint: Callable[..., Any], threads: CapacityLimiter) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def run(**arguments: Any) -> Any:
        return await to_thread.run_sync(functools.partial(endpoint, **arguments), limiter=threads)

    return run
