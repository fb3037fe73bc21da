"""Tells open pages what has changed, by ids only: their parts then fetch themselves again.

One task per process asks the database, and only while somebody listens. A running attempt's progress is not in the
database but with its runner, so that it is asked, too.

Every message has a position. A page says at which position it was asked for; if the stream is elsewhere by the time the
page hears it, something may have changed in between, and the page fetches everything again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.types import ASGIApp, Receive, Scope, Send

from winslow_dagster.console.room import Room
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.installation import Installation

LOOK_S = 0.5
"""How often the database is asked."""
LINGER_S = 30.0
"""How long it goes on without listeners, so that going from page to page does not make each page fetch itself twice."""
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


@dataclass(frozen=True, slots=True)
class Heard:
    """News, and the position after them."""

    position: str
    news: News

    def event(self) -> ServerSentEvent:
        """As a browser gets it, and names it when it connects again."""
        return ServerSentEvent(id=self.position, data=self.news.message())


@dataclass(eq=False)
class Live:
    """All listeners of one process."""

    installation: Installation
    _queues: set[asyncio.Queue[Heard]] = field(default_factory=set)
    _watch: asyncio.Task[None] | None = None
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    # Positions of different processes differ.
    _process: str = field(default_factory=lambda: secrets.token_hex(4))
    _number: int = 0

    @property
    def position(self) -> str:
        """Where the stream is. It moves whenever something has changed, or may have changed unseen."""
        return f"{self._process}-{self._number}"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[Heard]]:
        """A queue of what changes from the present position on, while the block lasts."""
        queue: asyncio.Queue[Heard] = asyncio.Queue(WAITING_MOST)
        self._queues.add(queue)
        try:
            if self._watch is None or self._watch.done():
                self._looked = asyncio.Event()
                self._watch = asyncio.create_task(self._look_while_somebody_listens())
            await self._looked.wait()
            yield queue
        finally:
            self._queues.discard(queue)

    async def _look_while_somebody_listens(self) -> None:
        cursor: str | None = None
        progress: dict[str, Any] = {}
        # What changed while nobody looked is not known.
        self._number += 1
        lost = False
        until = time.monotonic() + LINGER_S
        while self._queues or time.monotonic() < until:
            try:
                found = await to_thread.run_sync(self.installation.changes, cursor, limiter=WATCH)
                moved = await to_thread.run_sync(self._moved, progress, limiter=WATCH)
            except WinslowError:
                lost = True
            else:
                news = News(found.projects | moved.projects, found.attempts | moved.attempts, lost or found.missed)
                cursor, lost = found.cursor, False
                if self._looked.is_set() and news != News():
                    self._tell(news)
            self._looked.set()
            if self._queues:
                until = time.monotonic() + LINGER_S
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
        self._number += 1
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(Heard(self.position, News(everything=True)))
            else:
                queue.put_nowait(Heard(self.position, news))


class LivePosition:
    """An ASGI application around another. It puts the position before the request into the scope."""

    def __init__(self, app: ASGIApp, live: Live) -> None:
        self._app = app
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        scope["winslow.live_position"] = self._live.position
        await self._app(scope, receive, send)


@room.route_for("/live", role="viewer", response_class=EventSourceResponse, include_in_schema=False)
async def live(request: Request) -> AsyncIterator[ServerSentEvent]:
    """One stream per browser, which its tabs share. It begins with the position, as seen by who heard it before."""
    live: Live = request.app.state.live
    async with live.listening() as queue:
        before = request.headers.get("last-event-id")
        first = Heard(live.position, News(everything=before not in {None, live.position}))
        yield first.event()
        while True:
            yield (await queue.get()).event()
