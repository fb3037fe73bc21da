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
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.types import ASGIApp, Receive, Scope, Send

from winslow_dagster.console.room import Room
from winslow_dagster.errors import WinslowError
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.installation import Installation
from winslow_dagster.stages.task.model import LogSummary, StageStatus

LOOK_S = 0.5
"""How often the database is asked."""
PROGRESS_S = 1.0
"""How often progress of stages is told at most: every open page that shows it then asks for itself again."""
LINGER_S = 30.0
"""How long it goes on without listeners, so that going from page to page does not make each page fetch itself twice."""
WAITING_MOST = 100
"""Messages that one browser may be behind. A slower one is told that it missed something."""
WATCH = CapacityLimiter(2)

room = Room()


@dataclass(frozen=True, slots=True)
class News:
    """The ids of what changed. `everything`: some changes are not known one by one.

    `progress`: the projects of which nothing has changed but how far their stages are.
    """

    projects: frozenset[str] = frozenset()
    attempts: frozenset[str] = frozenset()
    progress: frozenset[str] = frozenset()
    everything: bool = False

    def message(self) -> dict[str, Any]:
        """As a browser gets it."""
        return {
            "projects": sorted(self.projects),
            "attempts": sorted(self.attempts),
            "progress": sorted(self.progress),
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
class Running:
    """What the running attempts of an installation were last seen to do."""

    attempts: Callable[[], Iterable[tuple[Attempt, StageStatus | None]]]
    _known: dict[str, StageStatus | None] = field(default_factory=dict)
    _further: set[str] = field(default_factory=set)
    _told_at_s: float = -inf

    def look(self, now_s: float) -> News:
        """What is different since the last look. Progress is held back until it may be told."""
        projects, attempts, ended = set(), set(), set(self._known)
        for attempt, status in self.attempts():
            new = attempt.task_id not in self._known
            known, self._known[attempt.task_id] = self._known.get(attempt.task_id), status
            ended.discard(attempt.task_id)
            if new or _state(known) != _state(status):
                projects.add(attempt.project)
            elif _log(known) != _log(status):
                self._further.add(attempt.project)
            else:
                continue
            attempts.add(attempt.task_id)
        for task_id in ended:
            del self._known[task_id]
        return News(frozenset(projects), frozenset(attempts), self._progress(now_s))

    def _progress(self, now_s: float) -> frozenset[str]:
        if not self._further or now_s - self._told_at_s < PROGRESS_S:
            return frozenset()
        further, self._further = frozenset(self._further), set()
        self._told_at_s = now_s
        return further


def _state(status: StageStatus | None) -> tuple[str, str] | None:
    return None if status is None else (status.phase, status.reason)


def _log(status: StageStatus | None) -> LogSummary | None:
    return None if status is None else status.log


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
        running = Running(self.installation.running_attempts)
        # What changed while nobody looked is not known.
        self._number += 1
        lost = False
        until = time.monotonic() + LINGER_S
        while self._queues or time.monotonic() < until:
            try:
                found = await to_thread.run_sync(self.installation.changes, cursor, limiter=WATCH)
                moved = await to_thread.run_sync(running.look, time.monotonic(), limiter=WATCH)
            except WinslowError:
                lost = True
            else:
                news = News(
                    found.projects | moved.projects,
                    found.attempts | moved.attempts,
                    moved.progress,
                    everything=lost or found.missed,
                )
                cursor, lost = found.cursor, False
                if self._looked.is_set() and news != News():
                    self._tell(news)
            self._looked.set()
            if self._queues:
                until = time.monotonic() + LINGER_S
            await asyncio.sleep(LOOK_S)

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
