"""Attempts side by side over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from winslow_dagster.client.http import Http
from winslow_dagster.projects.comparison.compare import AttemptFacts, Comparison, CrossTable, SharedStage
from winslow_dagster.projects.comparison.curves import Curves
from winslow_dagster.projects.comparison.log_diff import LogDiff
from winslow_dagster.tables.diff import KINDS, RowKind, TableDiff


class ComparisonClient:
    """Like `Winslow.comparisons`. An attempt is named `PROJECT:STAGE:ATTEMPT`, or by its task id."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def find(self, text: str = "", limit: int = 20) -> tuple[AttemptFacts, ...]:
        """The latest attempts that match each word: part of the name of project or stage, or the attempt's number."""
        return self._http.get(tuple[AttemptFacts, ...], "/compare/attempts", text=text, limit=limit)

    def shared_stages(self, projects: Sequence[str]) -> tuple[SharedStage, ...]:
        """The stages that at least two of these projects have outputs of, with the attempts that made them."""
        return self._http.get(tuple[SharedStage, ...], "/compare/stages", projects=list(projects))

    def two(self, left: str, right: str, *, everything: bool = False) -> Comparison:
        """Two attempts side by side. With `everything`, equal parameters and files, too. See `table` for tables."""
        return self._http.get(Comparison, "/compare", attempts=[left, right], everything=everything)

    def many(self, names: Sequence[str]) -> CrossTable:
        """A table of three attempts or more, by the parameters that differ and the results."""
        return self._http.get(CrossTable, "/compare", attempts=list(names))

    def table(  # noqa: PLR0913  # what is compared, and which part is shown
        self,
        left: str,
        right: str,
        path: str,
        *,
        key: Sequence[str] | None = None,
        kinds: Sequence[RowKind] = KINDS,
        first: int = 1,
        count: int = 100,
    ) -> TableDiff:
        """The rows of a table that differ, from the one numbered `first` on. `key` tells which belong together."""
        while True:
            found = self._http.get(
                TableDiff,
                "/compare/table",
                attempts=[left, right],
                file=path,
                key=list(key) if key else None,
                by_position=key is not None and not key,
                only=list(kinds),
                first=first,
                count=count,
            )
            if found.reading is None:
                return found

    def chart(self, names: Sequence[str], path: str, x: str = "", y: str = "") -> Curves:
        """Two columns of a table as one curve for each attempt. Without names, the first columns with numbers."""
        while True:
            found = self._http.get(Curves, "/compare/chart", attempts=list(names), file=path, x=x, y=y)
            if found.reading is None:
                return found

    def log(
        self, left: str, right: str, *, first_left: int = 1, first_right: int = 1, ignore_times: bool = False
    ) -> LogDiff:
        """What differs between two logs, from these lines on: one step, which takes half a second at most."""
        return self._http.get(
            LogDiff,
            "/compare/log",
            attempts=[left, right],
            left=first_left,
            right=first_right,
            ignore_times=ignore_times,
        )
