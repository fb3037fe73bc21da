"""Attempts side by side: two with everything that differs, many as a table and in charts."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, get_args

from fastapi import Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.compare_query import CompareQuery, CompareQueryOf
from winslow_dagster.console.compare_view import ShownAttempt, grouped, label, run_table, seen_kind, shown_attempts
from winslow_dagster.console.rendering import page
from winslow_dagster.console.rest.compare import TABLES, WAIT_S, two_of
from winslow_dagster.console.room import Room
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.commands.comparisons import TABLES as TABLE_ENDS
from winslow_dagster.projects.comparison.compare import Comparison, FilePair
from winslow_dagster.projects.comparison.log_diff import LogDiff, LogDiffRow
from winslow_dagster.projects.installation import Installation
from winslow_dagster.tables.diff import KINDS, RowKind, TableDiff

TWO = {
    "settings": "Settings and results",
    "pictures": "Pictures and videos",
    "charts": "Charts",
    "tables": "Tables",
    "log": "Log",
    "files": "Files",
}
MANY = {"runs": "Table", "parallel": "Parallel coordinates", "scatter": "Scatter", "charts": "Charts"}
FOUND = 12
ROWS = 100
MOST_FILES = 500
LOG_STEPS = 4
"""Steps of half a second until something differs."""

room = Room()
slow_room = Room(threads=TABLES)


@room.route_for("/compare/find", role="viewer")
def show_found(request: Request, front: Front, query: CompareQueryOf) -> HTMLResponse:
    """The attempts that match some words. A part of the page."""
    return page(request, "compare/found.html", **_found(front, query), query=query)


@slow_room.route_for("/compare/table", role="viewer")
def show_table(request: Request, front: Front, query: CompareQueryOf) -> HTMLResponse:
    """The rows of a table that differ. A part of the page, which asks for it later: comparing may take seconds."""
    fault, diff = "", None
    try:
        diff = _table(front, query)
    except InputRejected as error:
        fault = str(error)
    return page(request, "compare/rows.html", query=query, diff=diff, fault=fault, kinds=KINDS, count=ROWS)


@slow_room.route_for("/compare/chart", role="viewer")
def show_chart(request: Request, front: Front, query: CompareQueryOf) -> HTMLResponse:
    """Curves of all attempts, with what can be drawn. A part of the page, which asks for it later."""
    named = [each for each in front.comparisons.named(query.attempts) if each.task_id]
    ids = [each.task_id for each in named]
    attempts = shown_attempts(
        [(each.name, facts) for each, facts in zip(named, front.comparisons.attempts(ids), strict=True)], {}
    )
    fault, chart = "", None
    try:
        chart = front.comparisons.chart(ids, query.file, query.x, query.y, wait_s=WAIT_S)
    except InputRejected as error:
        fault = str(error)
    return page(
        request,
        "compare/chart.html",
        query=query,
        attempts=attempts,
        chart=chart,
        fault=fault,
        tables=front.comparisons.tables(ids),
        drawn=query.file,
    )


@room.route_for("/compare", role="viewer")
def show_comparison(request: Request, front: Front, query: CompareQueryOf) -> HTMLResponse:
    """The comparison. With `part` in its query, only the attempts, which are refreshed."""
    named = front.comparisons.named(query.attempts)
    good = [each for each in named if each.task_id]
    facts = front.comparisons.attempts([each.task_id for each in good])
    attempts = shown_attempts(
        [(each.name, known) for each, known in zip(good, facts, strict=True)],
        front.comparisons.pick_effects([known.task_id for known in facts]),
    )
    may_act = {name: front.project(name).may_act() for name in {known.project for known in facts}}
    parts = {} if len(attempts) < 2 else TWO if len(attempts) == 2 else MANY  # noqa: PLR2004  # left, right
    show = query.show if query.show in parts else next(iter(parts), "")
    values: dict[str, Any] = {}
    if "part" not in request.query_params and show:
        values = _two(front, query, show, attempts) if parts is TWO else _many(front, query, show, attempts)
    if not parts:
        values = _found(front, query)
    template = f"compare/{show}.html" if show else "compare/page.html"
    return page(
        request,
        "compare/head.html" if "part" in request.query_params else template,
        query=query,
        attempts=attempts,
        problems=[each for each in named if not each.task_id],
        may_act=may_act,
        parts=parts,
        show=show,
        command=command("compare", *(each.facts.name for each in attempts)),
        label=label,
        seen_kind=seen_kind,
        **values,
    )


def _found(front: Installation, query: CompareQuery) -> dict[str, Any]:
    """Attempts to add: those that match, or else others of the first attempt's stage."""
    text = query.find
    if not text and query.attempts:
        first = next((each for each in front.comparisons.named(query.attempts) if each.task_id), None)
        if first is not None:
            (facts,) = front.comparisons.attempts([first.task_id])
            text = f"{facts.project} {facts.stage}"
    known = {each.task_id for each in front.comparisons.named(query.attempts)}
    found = front.comparisons.find(text, FOUND + len(known))
    return {"found": [each for each in found if each.task_id not in known][:FOUND]}


def _two(front: Installation, query: CompareQuery, show: str, attempts: tuple[ShownAttempt, ...]) -> dict[str, Any]:
    left, right = (each.facts.task_id for each in attempts)
    if show == "log":
        return {"log": _log(front, left, right, query)}
    if show == "charts":
        return _tables(front, query, [left, right])
    comparison = front.comparisons.two(left, right, tables=False, everything=query.all)
    values: dict[str, Any] = {"comparison": comparison}
    match show:
        case "settings":
            return values | {"groups": grouped(comparison.parameters)}
        case "pictures":
            seen = _seen(comparison)
            return values | {"seen": seen, "chosen": _chosen(query, seen)}
        case "tables":
            changed = _changed_tables(comparison)
            return values | {"changed": changed, "chosen": _chosen(query, changed)}
        case _:
            return values | {"most": MOST_FILES, "table_paths": {pair.path for pair in _changed_tables(comparison)}}


def _many(front: Installation, query: CompareQuery, show: str, attempts: tuple[ShownAttempt, ...]) -> dict[str, Any]:
    ids = [each.facts.task_id for each in attempts]
    if show == "charts":
        return _tables(front, query, ids)
    table = run_table(front.comparisons.many(ids), attempts, query.sort, everything=query.all)
    axes = table.axes(query.axes)
    if show == "scatter":
        numeric = [each for each in table.columns if each.numeric]
        results = [each for each in numeric if each.kind == "result"]
        x = table.column(query.x) or next(iter(numeric), None)
        y = table.column(query.y) or next((each for each in results if each != x), None) or x
        axes = tuple(each for each in (x, y) if each is not None)
    return {"table": table, "axes": axes, "drawing": table.drawing(axes)}


def _changed_tables(comparison: Comparison) -> list[FilePair]:
    return [pair for pair in comparison.files.changed if PurePosixPath(pair.path).suffix.lower() in TABLE_ENDS]


def _seen(comparison: Comparison) -> list[FilePair]:
    """Pictures and videos: those that differ first, then those of one attempt alone, and then those that are equal."""
    files = comparison.files
    all_pairs = (files.changed, files.added, files.removed, files.unchanged)
    return [pair for pairs in all_pairs for pair in pairs if seen_kind(pair.path)]


def _chosen(query: CompareQuery, pairs: list[FilePair]) -> FilePair | None:
    return next((pair for pair in pairs if pair.path == query.file), next(iter(pairs), None))


def _tables(front: Installation, query: CompareQuery, ids: list[str]) -> dict[str, Any]:
    """The CSV files, and the one that is drawn."""
    tables = front.comparisons.tables(ids)
    return {"tables": tables, "drawn": query.file if query.file in tables else next(iter(tables), "")}


def _table(front: Installation, query: CompareQuery) -> TableDiff:
    left, right = two_of([each.task_id for each in front.comparisons.named(query.attempts) if each.task_id])
    kinds: tuple[RowKind, ...] = tuple(kind for kind in get_args(RowKind) if query.only in {"", kind})
    key = () if query.by_position else (query.key or None)
    return front.comparisons.table(
        left, right, query.file, key=key, kinds=kinds or KINDS, first=query.first, count=ROWS, wait_s=WAIT_S
    )


def _log(front: Installation, left: str, right: str, query: CompareQuery) -> LogDiff:
    """The next part of the logs in which something differs, as far as two seconds take."""
    rows: list[LogDiffRow] = []
    removed = added = 0
    at: tuple[int | None, int | None] = (query.left, query.right)
    for _ in range(LOG_STEPS):
        if at[0] is None or at[1] is None:
            break
        step = front.comparisons.log(left, right, first_left=at[0], first_right=at[1], ignore_times=query.ignore_times)
        at = (step.next_left, step.next_right)
        for row in step.rows:
            if rows and rows[-1].kind == row.kind == "skipped":
                rows[-1] = rows[-1].model_copy(update={"count": rows[-1].count + row.count})
            else:
                rows.append(row)
        removed, added = removed + step.removed, added + step.added
        if removed or added:
            break
    return LogDiff(rows=tuple(rows), next_left=at[0], next_right=at[1], removed=removed, added=added)
