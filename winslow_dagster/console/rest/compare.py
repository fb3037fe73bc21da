"""Attempts side by side: parameters and results, rows of tables, curves, logs. Names are those of Python."""

from __future__ import annotations

from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Query

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.commands.comparisons import POINTS
from winslow_dagster.projects.comparison.compare import (
    AttemptFacts,
    Comparison,
    CrossTable,
    FilesCompared,
    Pair,
    ParameterRow,
    SharedStage,
)
from winslow_dagster.projects.comparison.curves import Curves
from winslow_dagster.projects.comparison.log_diff import LogDiff
from winslow_dagster.projects.comparison.service import MOST_FOUND
from winslow_dagster.tables.diff import KINDS, RowKind, TableDiff

MOST_ATTEMPTS = 100
LINE_MOST = 10**15
WAIT_S = 1.0
"""After that, an answer says how far the reading of a table is."""
TABLES = CapacityLimiter(2)
"""Threads that compare tables, which take the processor for seconds."""

room = Room("/compare", tags=["compare"])
table_room = Room("/compare", tags=["compare"], threads=TABLES)
log_room = Room("/compare", tags=["compare"], threads=LOGS)

Attempts = Annotated[
    list[Annotated[str, Query(max_length=400)]],
    Query(
        min_length=1,
        max_length=MOST_ATTEMPTS,
        description="Each as PROJECT:STAGE:ATTEMPT, the attempt by its number or task id; or a task id alone.",
    ),
]
File = Annotated[str, Query(max_length=1024, description="The path of a CSV or Parquet file in the outputs.")]
Column = Annotated[str, Query(max_length=400)]
Line = Annotated[int, Query(ge=1, le=LINE_MOST)]


def two_of(attempts: list[str]) -> tuple[str, str]:
    """The left and the right attempt. Raises InputRejected for any other number of them."""
    if len(attempts) != 2:  # noqa: PLR2004  # left, right
        raise InputRejected(f"{len(attempts)} attempts are named", where="attempts", expected="two")
    return attempts[0], attempts[1]


@room.route_for("", role="viewer")
def compare(front: Front, attempts: Attempts, *, everything: bool = False) -> Comparison | CrossTable:
    """Two attempts side by side, or a table of another number of them. No file is read: see `/compare/table`.

    With `everything`, parameters and files of two attempts that are equal, too.
    """
    if len(attempts) == 2:  # noqa: PLR2004  # left, right
        return front.comparisons.two(*attempts, tables=False, everything=everything)
    return front.comparisons.many(attempts)


@room.route_for("/attempts", role="viewer")
def find_attempts(
    front: Front,
    text: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_FOUND)] = 20,
) -> tuple[AttemptFacts, ...]:
    """The latest attempts that match each word: part of the name of project or stage, or the attempt's number."""
    return front.comparisons.find(text, limit)


@room.route_for("/stages", role="viewer")
def find_shared_stages(
    front: Front, projects: Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=MOST_ATTEMPTS)]
) -> tuple[SharedStage, ...]:
    """The stages that at least two of these projects have outputs of, with the attempts that made them."""
    return front.comparisons.shared_stages(projects)


@room.route_for("/parameters", role="viewer")
def compare_parameters(front: Front, attempts: Attempts, *, everything: bool = False) -> tuple[ParameterRow, ...]:
    """The parameters of two attempts: those that differ, or everything."""
    return front.comparisons.two(*two_of(attempts), tables=False, everything=everything).parameters


@room.route_for("/results", role="viewer")
def compare_results(front: Front, attempts: Attempts) -> tuple[Pair, ...]:
    """The results of two attempts, with the difference and the ratio of those that are numbers."""
    return front.comparisons.two(*two_of(attempts), tables=False).results


@room.route_for("/files", role="viewer")
def compare_files(front: Front, attempts: Attempts, *, everything: bool = False) -> FilesCompared:
    """The output files that were added, removed and changed between two attempts, with their sizes.

    With `everything`, those that are unchanged, too.
    """
    return front.comparisons.two(*two_of(attempts), tables=False, everything=everything).files


@table_room.route_for("/table", role="viewer")
def compare_table(  # noqa: PLR0913  # what is compared, and which part is shown
    front: Front,
    attempts: Attempts,
    file: File,
    *,
    key: Annotated[
        list[Column] | None, Query(max_length=20, description="Columns; by default, they are found.")
    ] = None,
    by_position: Annotated[bool, Query(description="Compare rows at the same position.")] = False,
    only: Annotated[list[RowKind] | None, Query(max_length=3)] = None,
    first: Annotated[int, Query(ge=1, le=LINE_MOST)] = 1,
    count: Annotated[int, Query(ge=1, le=500)] = 100,
) -> TableDiff:
    """The rows of a table that differ between two attempts, from the one numbered `first` on."""
    return front.comparisons.table(
        *two_of(attempts),
        file,
        key=() if by_position else key,
        kinds=only or KINDS,
        first=first,
        count=count,
        wait_s=WAIT_S,
    )


@table_room.route_for("/chart", role="viewer")
def compare_chart(  # noqa: PLR0913, PLR0917  # what is drawn, by name
    front: Front,
    attempts: Attempts,
    file: File,
    x: Column = "",
    y: Column = "",
    points: Annotated[int, Query(ge=10, le=4000)] = POINTS,
) -> Curves:
    """Two columns of a table as one curve for each attempt. Without `x`, the number of the row."""
    return front.comparisons.chart(attempts, file, x, y, points=points, wait_s=WAIT_S)


@log_room.route_for("/log", role="viewer")
def compare_log(
    front: Front, attempts: Attempts, left: Line = 1, right: Line = 1, *, ignore_times: bool = False
) -> LogDiff:
    """What differs between two logs, from these lines on: one step. Go on at `next_left` and `next_right`."""
    return front.comparisons.log(*two_of(attempts), first_left=left, first_right=right, ignore_times=ignore_times)
