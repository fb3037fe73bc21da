"""Tells open pages what has changed, by ids only: their parts then fetch themselves again.

One task per process asks the database, and only while somebody listens. A running attempt's progress is not in the
database but with its runner, so that it is asked, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from winslow_dagster.console.room import Room
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.installation import Installation

LOOK_S = 0.5
"""How often the database is asked."""
WAITING_MOST = 100
"""Messages that one browser may be behind. A slower one is told that it missed something."""
WATCH = CapacityLimiter(2)

room = Room()


@dataclass(frozen=True, slots=True)
class News:
    """The ids of what changed. `everything`: some changes are not known one by one."""

    projects: frozenset[str] = frozenset()
    attempts: frozenset[str] = frozenset()
    everything: bool = False

    def message(self) -> dict[str, Any]:
        """As a browser gets it."""
        return {
            "projects": sorted(self.projects),
            "attempts": sorted(self.attempts),
            "everything": self.everything,
        }


@dataclass(eq=False)
class Live:
    """All listeners of one process."""

    installation: Installation
    _queues: set[asyncio.Queue[News]] = field(default_factory=set)
    _watch: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Queue[News]]:
        """A queue of what changes while the block lasts."""
        queue: asyncio.Queue[News] = asyncio.Queue(WAITING_MOST)
        self._queues.add(queue)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look_while_somebody_listens())
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def _look_while_somebody_listens(self) -> None:
        cursor: str | None = None
        progress: dict[str, Any] = {}
        lost = False
        while self._queues:
            try:
                found = await to_thread.run_sync(self.installation.changes, cursor, limiter=WATCH)
                moved = await to_thread.run_sync(self._moved, progress, limiter=WATCH)
            except WinslowError:
                lost = True
            else:
                news = News(found.projects | moved.projects, found.attempts | moved.attempts, lost or found.missed)
                cursor, lost = found.cursor, False
                if news != News():
                    self._tell(news)
            await asyncio.sleep(LOOK_S)

    def _moved(self, known: dict[str, Any]) -> News:
        """The running attempts whose status differs from the known one, which is brought up to date."""
        projects, attempts, ended = set(), set(), set(known)
        for attempt, status in self.installation.running_attempts():
            ended.discard(attempt.task_id)
            shown = None if status is None else (status.phase, status.reason, status.log)
            if attempt.task_id not in known or known[attempt.task_id] != shown:
                known[attempt.task_id] = shown
                attempts.add(attempt.task_id)
                projects.add(attempt.project)
        for task_id in ended:
            del known[task_id]
        return News(frozenset(projects), frozenset(attempts))

    def _tell(self, news: News) -> None:
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(News(everything=True))
            else:
                queue.put_nowait(news)


@room.route_for("/live", role="viewer", response_class=EventSourceResponse, include_in_schema=False)
async def live(request: Request) -> AsyncIterator[ServerSentEvent]:
    """One stream per browser, which its tabs share."""
    with request.app.state.live.listening() as queue:
        # What changed before this stream was open, nobody can know.
        yield ServerSentEvent(data=News(everything=True).message())
        while True:
            yield ServerSentEvent(data=(await queue.get()).message())
