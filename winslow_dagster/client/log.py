"""The log of one attempt over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from winslow_dagster.client.http import Http
from winslow_dagster.projects.domain.log_views import FoundPart, LogLines
from winslow_dagster.stages.log.density import Density
from winslow_dagster.stages.log.search import LogQuery, Tally

Value = TypeVar("Value")


class LogClient:
    """Like `AttemptLog`, which the Python API has: live while the attempt runs, complete once it has ended."""

    def __init__(self, http: Http, path: str, attempt: str | int | None) -> None:
        self._http = http
        self._path = path
        self._attempt = attempt

    def window(self, first: int, count: int, *, whole: bool = False) -> LogLines:
        """Up to `count` lines from `first` on, at most 500. With `whole`, very long lines are complete."""
        return self._get(LogLines, "", first=first, count=count, whole=whole)

    def density(self) -> Density:
        """Where its errors and warnings are."""
        return self._get(Density, "/density")

    def search(self, query: LogQuery, first: int = 1, limit: int | None = None) -> FoundPart:
        """The first matching lines from `first` on, as far as a quarter of a second takes."""
        return self._get(FoundPart, "/search", start=first, limit=limit, **_conditions(query))

    def search_back(self, query: LogQuery, last: int, limit: int | None = None) -> FoundPart:
        """The last matching lines up to `last`, as far as a quarter of a second takes."""
        return self._get(FoundPart, "/search", start=last, limit=limit, direction="backward", **_conditions(query))

    def count(self, query: LogQuery, first: int = 1, width: int = 1_000) -> Tally:
        """How many lines match from `first` on, as far as a quarter of a second takes."""
        return self._get(Tally, "/count", start=first, width=width, **_conditions(query))

    def first_line_since(self, at: datetime) -> int:
        """The number of the first line that was printed then or later."""
        return self._get(int, "/first-line", at=at.astimezone(UTC).isoformat())

    def text(self, first: int = 1, last: int | None = None) -> Iterator[bytes]:
        """The lines as the stage printed them, in pieces."""
        return self._http.stream(f"{self._path}/download", attempt=self._attempt, first=first, last=last)

    def _get(self, kind: type[Value], path: str, **query: Any) -> Value:
        return self._http.get(kind, f"{self._path}{path}", attempt=self._attempt, **query)


def _conditions(query: LogQuery) -> dict[str, Any]:
    return {
        "text": query.text,
        "regex": query.regex,
        "level": query.level,
        "stream": query.stream,
        "since": _moment(query.since_ns),
        "until": _moment(query.until_ns),
    }


def _moment(ns: int | None) -> str | None:
    """With microseconds, which is as precise as a moment in a request is."""
    return None if ns is None else datetime.fromtimestamp(ns // 1_000 / 1e6, UTC).isoformat()
