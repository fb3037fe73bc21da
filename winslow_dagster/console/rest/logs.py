"""The log of an attempt: windows of lines, where its errors are, search, download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response, StreamingResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.file_response import FILE_ANSWERS
from winslow_dagster.console.ranged import Content, disposition, ranged_response
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.console.streaming import streamed
from winslow_dagster.projects.commands.attempt_log import FOUND_MOST, LINES_MOST, AttemptLog, compressed
from winslow_dagster.projects.domain.log_views import FoundPart, LogLines
from winslow_dagster.projects.installation import Installation
from winslow_dagster.stages.log import Stream
from winslow_dagster.stages.log.density import Density, Level
from winslow_dagster.stages.log.search import LogQuery, Tally

LINE_MOST = 10**15
PATTERN_MOST = 1_000
PLAIN = "text/plain; charset=utf-8"

room = Room("/projects/{project}/stages/{stage}/log", tags=["logs"], threads=LOGS)

LineNumber = Annotated[int, Query(ge=1, le=LINE_MOST)]
AttemptQuery = Annotated[str | None, Query(description="Its number, counted from 1 over all runs, or its task id.")]


@dataclass(frozen=True, slots=True)
class LogAddress:
    """Which log is meant. It is opened in a thread of the room."""

    front: Installation
    project: str
    stage: str
    attempt: str | None

    def open(self) -> AttemptLog:
        """The log. Raises NotFound."""
        return self.front.project(self.project).log(self.stage, self.attempt)


async def address_of(front: Front, project: str, stage: str, attempt: AttemptQuery = None) -> LogAddress:
    """The log that the address names."""
    return LogAddress(front, project, stage, attempt)


Addressed = Annotated[LogAddress, Depends(address_of)]


async def query_of(  # noqa: PLR0913  # the conditions of a search, by name
    *,
    text: Annotated[str, Query(max_length=PATTERN_MOST)] = "",
    level: Annotated[Level | None, Query()] = None,
    stream: Annotated[Stream | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
    regex: Annotated[bool, Query(description="`text` is a regular expression in RE2 syntax.")] = False,
) -> LogQuery:
    """What is searched for."""
    return LogQuery(text, regex, level, stream, _nanoseconds(since), _nanoseconds(until))


Wanted = Annotated[LogQuery, Depends(query_of)]


@room.route_for("", role="viewer")
def window(
    log: Addressed,
    first: LineNumber = 1,
    count: Annotated[int, Query(ge=1, le=LINES_MOST)] = LINES_MOST,
    *,
    whole: Annotated[bool, Query(description="Very long lines are complete.")] = False,
) -> LogLines:
    """Up to `count` lines from the line numbered `first` on, and how long the log is now."""
    return log.open().window(first, count, whole=whole)


@room.route_for("/density", role="viewer")
def density(log: Addressed) -> Density:
    """Where the errors and warnings are, in ranges of `width` lines."""
    return log.open().density()


@room.route_for("/search", role="viewer")
def search(
    log: Addressed,
    query: Wanted,
    start: LineNumber = 1,
    direction: Literal["forward", "backward"] = "forward",
    limit: Annotated[int, Query(ge=1, le=FOUND_MOST)] = FOUND_MOST,
) -> FoundPart:
    """Matching lines from the line numbered `start` on. Go on at `next_line` until it is null."""
    opened = log.open()
    if direction == "backward":
        return opened.search_back(query, start, limit)
    return opened.search(query, start, limit)


@room.route_for("/count", role="viewer")
def count(
    log: Addressed,
    query: Wanted,
    start: LineNumber = 1,
    width: Annotated[int, Query(ge=1, le=LINE_MOST)] = 1_000,
) -> Tally:
    """How many lines match, in ranges of `width` lines. Go on at `next_line` until it is null."""
    return log.open().count(query, start, width)


@room.route_for("/first-line", role="viewer")
def first_line(log: Addressed, at: Annotated[AwareDatetime, Query()]) -> int:
    """The number of the first line that was printed then or later."""
    return log.open().first_line_since(at)


@room.route_for(
    "/download",
    role="viewer",
    response_class=Response,
    responses={**FILE_ANSWERS, 200: {"content": {PLAIN: {}, "application/gzip": {}}, "description": "The lines."}},
)
def download(
    request: Request,
    log: Addressed,
    first: LineNumber = 1,
    last: Annotated[int | None, Query(ge=1, le=LINE_MOST)] = None,
    form: Annotated[Literal["log", "gz"], Query(alias="format")] = "log",
) -> Response:
    """The lines as the stage printed them, all or those from `first` to `last`.

    The whole log of an attempt that has ended has a length and an `ETag`, and is sent from any byte on.
    """
    opened = log.open()
    name = f"{log.project}-{log.stage}-{opened.attempt.attempt}.log"
    whole = opened.whole_text() if form == "log" and first == 1 and last is None else None
    if whole is not None:
        content = Content(whole.text.size_bytes, whole.tag, PLAIN, whole.text.pieces)
        return ranged_response(request, content, {"Content-Disposition": disposition(name, download=True)})
    pieces, media_type = opened.text(first, last), PLAIN
    if form == "gz":
        pieces, name, media_type = compressed(pieces), f"{name}.gz", "application/gzip"
    return StreamingResponse(
        streamed(pieces), media_type=media_type, headers={"Content-Disposition": disposition(name, download=True)}
    )


def _nanoseconds(at: AwareDatetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1_000_000) * 1_000
