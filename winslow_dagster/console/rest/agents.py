"""Where the agents of a cluster's jobs report. No person uses these routes.

An agent proves by munge that it is a job of the cluster, and gets a key for its own task with the first answer.
"""

from __future__ import annotations

from functools import partial

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.responses import Response

from winslow_dagster.console.room import Room
from winslow_dagster.engines.slurm.messages import LARGEST_BYTES
from winslow_dagster.errors import NotLoggedIn, UsageError
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.installation import Installation

AGENTS = CapacityLimiter(4)
"""Threads that write what agents report. Pages have their own."""

room = Room()


@room.route_for("/{task_id}/{submission}/{verb}", role="anyone", method="POST", include_in_schema=False)
async def tell(request: Request, task_id: str, submission: int, verb: str) -> Response:
    """Take a message of an agent and answer it. Its key or proof is checked before the message is read."""
    installation: Installation = request.app.state.installation
    desk = installation.agent_desk
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            desk.require_key(task_id, submission, credential.strip())
        case "munge":
            await to_thread.run_sync(desk.require_proof, task_id, submission, credential.strip(), limiter=AGENTS)
        case _:
            raise NotLoggedIn("the agent sends no key", expected="a header Authorization: Bearer KEY")
    message = bytearray()
    async for part in request.stream():
        message += part
        if len(message) > LARGEST_BYTES:
            raise UsageError(
                "the message is too large", where=task_id, expected=f"{format_size(LARGEST_BYTES)} at most"
            )
    answer = await to_thread.run_sync(partial(desk.answer, task_id, submission, verb, bytes(message)), limiter=AGENTS)
    return Response(answer, media_type="application/json")
