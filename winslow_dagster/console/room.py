"""A room of the console: routes that state who may use them, and whose blocking calls have threads of their own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Request

from winslow_dagster.console.caller import Role, caller_of, require

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

PAGES = CapacityLimiter(24)
"""Threads of pages and REST routes. Dagster's web interface has the default ones."""
LOGS = CapacityLimiter(8)
"""Threads that read logs and files."""


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
            runs = endpoint if asynchronous else _threaded(endpoint, self._threads)
            allowed = [] if role == "anyone" else [Depends(functools.partial(_require, role))]
            self.add_api_route(
                path,
                runs,
                methods=[method],
                dependencies=allowed,
                openapi_extra={"x-role": role},
                **options,
            )
            return endpoint

        return register


async def _require(role: Role, request: Request) -> None:
    require(caller_of(request), role, request.url.path)


def _threaded(endpoint: Callable[..., Any], threads: CapacityLimiter) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def run(**arguments: Any) -> Any:
        return await to_thread.run_sync(functools.partial(endpoint, **arguments), limiter=threads)

    return run
