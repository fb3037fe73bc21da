"""A project: one sentence, the graph of its stages, a panel for one stage, and what people wrote about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

from fastapi import Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.footage_paths import footage_path, look_path, thumbnail_path
from winslow_dagster.console.listing import Listing
from winslow_dagster.console.previews import kind_of
from winslow_dagster.console.project_tabs import ShownStage, page_of, shown_stage, tab_values
from winslow_dagster.console.project_view import (
    TABS,
    Graph,
    Tab,
    archive_path,
    chosen_stage,
    data_path,
    file_path,
    flat,
    graph_of,
    growing_path,
    sentence,
    share,
    stage_path,
    usage_path,
)
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.console.stage_place import Place, PlaceOf
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import ProjectStatus
from winslow_dagster.projects.installation import Installation

RAIL_ROWS = 8


def tag_path(tag: str) -> str:
    """The address of the list of projects that have the tag."""
    return Listing().narrowed("tags", tag)


NAMES: dict[str, Any] = {
    "command": command,
    "stage_path": stage_path,
    "file_path": file_path,
    "archive_path": archive_path,
    "data_path": data_path,
    "growing_path": growing_path,
    "usage_path": usage_path,
    "footage_path": footage_path,
    "look_path": look_path,
    "thumbnail_path": thumbnail_path,
    "kind_of": kind_of,
    "share": share,
    "flat": flat,
    "tag_path": tag_path,
}
"""What templates of a project call."""

room = Room(prefix="/projects/{project}")


@room.route_for("", role="viewer")
def show_project(request: Request, front: Front, project: str) -> HTMLResponse:
    """The project, with the stage that a person most likely wants to see."""
    return stage_page(request, front, project, None)


@room.route_for("/history", role="viewer")
def show_history(request: Request, front: Front, project: str) -> HTMLResponse:
    """All attempts of all stages, the latest first."""
    handle = front.project(project)
    values = page_of(request, handle)
    return page(request, "project/history.html", project=project, own=handle.pipeline().name, **values, **NAMES)


@room.route_for("/disk", role="viewer")
def show_disk(request: Request, front: Front, project: str) -> HTMLResponse:
    """How much space the project takes. A part of its page, which asks for it later: measuring takes a moment."""
    usage = front.retention.usage(project)
    return page(
        request,
        "project/disk.html",
        retention=f"/projects/{quote(project, safe='')}/retention",
        usage=usage,
        inputs_bytes=usage.inputs_bytes.get(project, 0),
    )


@room.route_for("/stages/{stage}", role="viewer")
def show_stage(request: Request, front: Front, project: str, stage: str, place: PlaceOf) -> HTMLResponse:
    """The project, with this stage."""
    return stage_page(request, front, project, stage, place=place)


@room.route_for("/stages/{stage}/{tab}", role="viewer")
def show_tab(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    project: str,
    stage: str,
    tab: Literal["result", "settings", "files", "attempts", "checks"],
    place: PlaceOf,
) -> HTMLResponse:
    """One tab of a stage."""
    return stage_page(request, front, project, stage, tab=tab, place=place)


def stage_page(  # noqa: PLR0913  # the parts of its address
    request: Request,
    front: Installation,
    project: str,
    stage: str | None,
    *,
    tab: Tab = "result",
    place: Place = Place(),  # noqa: B008  # frozen
    template: str = "",
    **values: Any,
) -> HTMLResponse:
    """The page with one tab of a stage. Another room may fill a tab: with a template that extends `project/page.html`.

    With `part` in its query, only what is refreshed.
    """
    handle = front.project(project)
    status = handle.status()
    chosen = stage or chosen_stage(status)
    shown = shown_stage(handle, status, chosen, place) if chosen else None
    if shown is not None and not template:
        values = tab_values(request, front, handle, shown, tab) | values
    return page(
        request,
        template or f"project/{tab}.html",
        layout="project/part.html" if "part" in request.query_params else "base.html",
        project=status,
        name=project,
        acts=handle.may_act(),
        sentence=sentence(status),
        expected_end=_expected_end(front, status),
        graphs=_graphs(handle, status),
        chosen=chosen,
        tab=tab,
        tabs=TABS,
        refresh=_refreshed(request, stage_path(project, chosen, tab) if chosen else ""),
        questions=(*status.questions, *(each for other in status.other_pipelines for each in other.questions)),
        dismissal=handle.dismissal() if status.state == "failed" else None,
        first_error=_first_error(handle, status, shown),
        pins={pin.task_id: pin for pin in front.retention.pins(project)},
        audit=front.audit(project, limit=RAIL_ROWS),
        history=handle.history_page(limit=RAIL_ROWS).lines,
        **(_shown_values(shown) if shown is not None else {}),
        **NAMES,
        **values,
    )


def _refreshed(request: Request, path: str) -> str:
    """The address of what is refreshed: the same view, whatever of it is chosen several times."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "part"]
    return f"{path}?{urlencode([*query, ('part', '1')])}"


def _shown_values(shown: ShownStage) -> dict[str, Any]:
    return {
        "view": shown.view,
        "model": shown.stage,
        "pipeline": shown.pipeline,
        "pipeline_query": shown.other_pipeline,
        "attempt": shown.attempt,
        "details": shown.details,
        "latest": shown.latest,
    }


def _expected_end(front: Installation, status: ProjectStatus) -> datetime | None:
    """When its run will end, or wait for somebody; None if it does not run, or nothing is known yet."""
    if status.state not in {"running", "pausing"}:
        return None
    progress = front.progress_of([status.project]).get(status.project)
    return progress.expected_end if progress is not None else None


def _graphs(handle: ProjectHandle, status: ProjectStatus) -> list[Graph]:
    graphs = [graph_of(handle.pipeline(), status.pipeline_digest, status.stages, own=True)]
    for other in status.other_pipelines:
        if other.problem:
            graphs.append(Graph(other.pipeline, other.pipeline_digest, own=False, problem=other.problem))
        else:
            found = handle.pipeline(other.pipeline)
            graphs.append(graph_of(found, other.pipeline_digest, other.stages, own=False))
    return graphs


def _first_error(handle: ProjectHandle, status: ProjectStatus, shown: ShownStage | None) -> dict[str, Any] | None:
    """The first error line of the stage that failed."""
    failed = next((view.stage for view in status.stages if view.state == "failed"), None)
    if status.state != "failed" or failed is None:
        return None
    own = shown is not None and shown.latest and shown.stage.name == failed and shown.other_pipeline is None
    details = shown.details if own and shown is not None else handle.details(failed, pipeline=status.pipeline)
    if details is None or not details.errors:
        return None
    return {"stage": failed, "line": details.errors[0].line, "text": details.errors[0].text}
