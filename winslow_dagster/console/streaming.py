"""Sends what is made piece by piece. A thread is taken for each piece, so that a slow browser keeps none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from anyio import to_thread

from winslow_dagster.console.room import LOGS


async def streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each made when the one before has been sent."""
    while (piece := await to_thread.run_sync(next, pieces, None, limiter=LOGS)) is not None:
        yield piece
