"""What the tabs of a stage's panel show."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import QueryParams

from winslow_dagster.console.binary_facts import facts_of
from winslow_dagster.console.measures import measure
from winslow_dagster.console.previews import BINARY_TABLES, Kind, kind_of, read_table, read_text
from winslow_dagster.console.project_view import Tab, stage_path, tree
from winslow_dagster.console.sorting import sorted_by
from winslow_dagster.console.stage_place import Place
from winslow_dagster.errors import NotFound, StoreError
from winslow_dagster.globs import matches
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.pipelines.model.result_views import TrajectoryView
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.charts import SavedChart
from winslow_dagster.projects.domain.views import (
    AttemptDetails,
    HistoryLine,
    ProjectFile,
    ProjectStatus,
    StageView,
)
from winslow_dagster.projects.installation import Installation

ATTEMPTS_ON_A_PAGE = 50
MOST_FILES = 1000
MOST_PREVIEWS = 12
MOST_TEXTS = 3
MOST_GROWING = 6
FIRST_COLUMNS = 4
PAGE_NUMBER = re.compile(r"[0-9]{1,6}")
SHOWN_KINDS = frozenset({"picture", "video", "table", "map", "report"})
LOOKED_AT = frozenset({"picture", "video", "sound", "report", "map"})
"""What is judged by looking at it, before numbers and tables."""


@dataclass(frozen=True, slots=True)
class ShownStage:
    """The stage in the panel. `attempt` is what the address names, `details` that attempt, or else the latest.

    `other_pipeline` is the name of its pipeline where that is not the project's own.
    """

    view: StageView
    stage: Stage
    pipeline: Pipeline
    other_pipeline: str | None
    attempt: str | None
    details: AttemptDetails | None

    @property
    def latest(self) -> bool:
        """Whether no later attempt exists."""
        return self.details is not None and self.details.line.task_id == self.view.task_id


def shown_stage(handle: ProjectHandle, status: ProjectStatus, stage: str, place: Place) -> ShownStage:
    """The stage that an address names. Raises NotFound."""
    found = handle.pipeline_of_stage(stage, place.pipeline)
    views = {status.pipeline: status.stages} | {each.pipeline: each.stages for each in status.other_pipelines}
    view = next((each for each in views.get(found.name, ()) if each.stage == stage), None)
    if view is None:
        raise NotFound(f"only an earlier version of {found.name} has a stage {stage}", where=f"project {handle.name}")
    asked = view.attempts or place.attempt is not None
    return ShownStage(
        view=view,
        stage=found.stage(stage),
        pipeline=found,
        other_pipeline=found.name if found.name != status.pipeline else None,
        attempt=place.attempt,
        details=handle.details(stage, place.attempt, pipeline=found.name) if asked else None,
    )


def tab_values(
    request: Request, front: Installation, handle: ProjectHandle, shown: ShownStage, tab: Tab
) -> dict[str, Any]:
    """What the template of the tab needs."""
    stage, attempt, pipeline = shown.stage.name, shown.attempt, shown.pipeline.name
    match tab:
        case "result" | "files":
            # Files that the store has lost hide nothing else of the project.
            files: tuple[ProjectFile, ...] = ()
            problem = ""
            try:
                files = handle.files(stage, attempt, pipeline=pipeline)
            except StoreError as error:
                problem = str(error)
            if tab == "result":
                return {**_result_values(front, handle, shown, files), "problem": problem}
            return {**_file_values(handle, files, request.query_params.get("file", "")), "problem": problem}
        case "settings":
            return {"settings": handle.settings(stage, attempt, pipeline=pipeline)}
        case "attempts":
            return _attempt_values(request, handle, stage)
        case "log" | "checks":
            # The log has a room of its own, and the checks are those of `details`.
            return {}


def highlights(handle: ProjectHandle, stage: Stage, files: tuple[ProjectFile, ...]) -> list[dict[str, Any]]:
    """The files to look at first: those that the pipeline file names, or else all that can be seen, or some texts."""
    if stage.highlights:
        chosen = {
            file.path: (file, highlight.title)
            for highlight in stage.highlights
            for file in files
            if matches(file.path, highlight.glob)
        }
    else:
        seen = [file for file in files if kind_of(file.path) in SHOWN_KINDS]
        texts = [file for file in files if kind_of(file.path) == "text"][:MOST_TEXTS]
        chosen = {file.path: (file, "") for file in seen or texts}
    return [_preview(handle, file, title) for file, title in list(chosen.values())[:MOST_PREVIEWS]]


def _result_values(
    front: Installation, handle: ProjectHandle, shown: ShownStage, files: tuple[ProjectFile, ...]
) -> dict[str, Any]:
    previews = highlights(handle, shown.stage, files)
    return {
        "looked_at": [each for each in previews if each["kind"] in LOOKED_AT],
        "others": [each for each in previews if each["kind"] not in LOOKED_AT],
        "files": files,
        "growing": _growing(front, handle, shown),
        "views": [_view(handle, shown, view) for view in shown.stage.views],
        "saved_charts": _saved_charts(front, shown, files),
        "measures": [measure(*each) for each in (shown.details.results.items() if shown.details else ())],
    }


def _growing(front: Installation, handle: ProjectHandle, shown: ShownStage) -> list[tuple[str, list[SavedChart]]]:
    """The tables that the stage is writing, each with the charts that people saved for it."""
    if shown.view.state != "running" or shown.attempt is not None:
        return []
    stage, pipeline = shown.stage.name, shown.pipeline.name
    charts = front.charts.of(pipeline, stage)
    found = handle.growing_tables(stage, pipeline=pipeline)[:MOST_GROWING]
    return [(file.path, [chart for chart in charts if chart.file == file.path]) for file in found]


def _view(handle: ProjectHandle, shown: ShownStage, view: TrajectoryView) -> dict[str, Any]:
    """A view with those of its files that exist: of the shown attempt, and of other stages the current ones."""
    found = {}
    for role in ("table", "picture", "shapes", "video"):
        stage, _, path = getattr(view, role).partition("/")
        own = stage == shown.stage.name
        with contextlib.suppress(NotFound, StoreError):
            if path:
                found[role] = handle.file(stage, path, shown.attempt if own else None, pipeline=shown.pipeline.name)
    return {"view": view, **{role: found.get(role) for role in ("table", "picture", "shapes", "video")}}


def _saved_charts(
    front: Installation, shown: ShownStage, files: tuple[ProjectFile, ...]
) -> list[tuple[SavedChart, ProjectFile]]:
    """The charts that people saved for the stage, with the files that this attempt has."""
    by_path = {file.path: file for file in files}
    charts = front.charts.of(shown.pipeline.name, shown.stage.name)
    return [(chart, by_path[chart.file]) for chart in charts if chart.file in by_path]


def page_of(request: Request, handle: ProjectHandle, stage: str | None = None) -> dict[str, Any]:
    """One page of the history, by the `page` of the address. What is no number is the first page."""
    number = _page_number(request)
    found = handle.history_page(stage, limit=ATTEMPTS_ON_A_PAGE, offset=(number - 1) * ATTEMPTS_ON_A_PAGE)
    return _window(found.lines, found.total, number)


def _page_number(request: Request) -> int:
    text = request.query_params.get("page", "1")
    return max(1, int(text)) if PAGE_NUMBER.fullmatch(text) else 1


def _window(lines: Sequence[HistoryLine], total: int, number: int) -> dict[str, Any]:
    pages = max(1, -(-total // ATTEMPTS_ON_A_PAGE))
    return {"lines": lines, "total": total, "page_number": number, "pages": pages}


def _preview(handle: ProjectHandle, file: ProjectFile, title: str = "") -> dict[str, Any]:
    kind = kind_of(file.path)
    preview: dict[str, Any] = {"file": file, "kind": kind, "title": title, "problem": ""}
    if kind == "table" and PurePosixPath(file.path).suffix.lower() in BINARY_TABLES:
        preview["table"] = None
    elif kind in {"table", "text", "other"}:
        try:
            with handle.open_file(file) as content:
                preview |= _content_of(kind, file, content)
        except StoreError as error:
            preview["problem"] = str(error)
    return preview


def _content_of(kind: Kind, file: ProjectFile, content: BinaryIO) -> dict[str, Any]:
    """What the template shows of a file, which is read in part only."""
    if kind == "other":
        return {"facts": facts_of(content, PurePosixPath(file.path).suffix.lower())}
    return {"table": read_table(content)} if kind == "table" else {"text": read_text(content)}


def _file_values(handle: ProjectHandle, files: tuple[ProjectFile, ...], wanted: str) -> dict[str, Any]:
    listed = files[:MOST_FILES]
    return {
        "files": listed,
        "folder": tree(file.path for file in listed),
        "more": len(files) - len(listed),
        "preview": next((_preview(handle, file) for file in files if file.path == wanted), None),
        "wanted": wanted,
    }


def _attempt_values(request: Request, handle: ProjectHandle, stage: str) -> dict[str, Any]:
    """One page of the stage's attempts, the latest first or sorted, with the results that were chosen as columns."""
    query = request.query_params
    sort, descending = query.get("sort", ""), query.get("descending") == "1"
    window = _sorted_page(request, handle, stage, sort, descending=descending) if sort else None
    window = window or page_of(request, handle, stage)
    results = handle.results(line.task_id for line in window["lines"])
    known = list(dict.fromkeys(name for each in results.values() for name in each))
    asked = [name for name in query.getlist("column") if name in known]
    return {
        **window,
        "results": results,
        "known_columns": known,
        "columns": asked or known[:FIRST_COLUMNS],
        "asked_columns": asked,
        "sort": sort,
        "descending": descending,
        "attempts_path": partial(_attempts_path, handle.name, stage, query),
        "goes_out_of_date": handle.goes_out_of_date(stage, pipeline=query.get("pipeline") or None),
    }


def _sorted_page(request: Request, handle: ProjectHandle, stage: str, sort: str, *, descending: bool) -> dict[str, Any]:
    lines = handle.history(stage)
    kind, _, name = sort.partition(".")
    results = handle.results(line.task_id for line in lines) if kind == "result" else {}

    def value_of(line: HistoryLine) -> object:
        match kind:
            case "result":
                return results.get(line.task_id, {}).get(name)
            case "took":
                return line.duration_s
            case "outcome":
                return line.outcome
            case "who":
                return line.requested_by
            case _:
                return line.number

    ordered = sorted_by(lines, value_of, descending=descending)
    number = _page_number(request)
    begin = (number - 1) * ATTEMPTS_ON_A_PAGE
    return _window(ordered[begin : begin + ATTEMPTS_ON_A_PAGE], len(ordered), number)


def _attempts_path(
    project: str, stage: str, query: QueryParams, sort: str | None = None, turned: str = "", **changed: int
) -> str:
    """The address of the same attempts, sorted or paged in another way, with the same columns."""
    kept = [(name, value) for name, value in query.multi_items() if name in {"column", "pipeline"}]
    sorted_as = query.get("sort", "") if sort is None else sort
    more = {"sort": sorted_as, "descending": query.get("descending", "") if sort is None else turned, **changed}
    kept += [(name, str(value)) for name, value in more.items() if value]
    return f"{stage_path(project, stage, 'attempts')}{'?' if kept else ''}{urlencode(kept)}"
