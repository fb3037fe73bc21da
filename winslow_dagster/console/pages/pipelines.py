"""Pipelines: their files with errors at their lines, their stages, versions and users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.graph_layout import draw
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.errors import WinslowError
from winslow_dagster.pipelines import Problem
from winslow_dagster.projects.commands.pipelines import CURRENT
from winslow_dagster.projects.installation import Installation

Part = Literal["stages", "file", "versions"]
LINES_MOST = 10_000

room = Room()


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of a file, with what is wrong with it."""

    number: int
    text: str
    problems: tuple[Problem, ...]


@room.route_for("/pipelines", role="viewer")
def show_pipelines(request: Request, front: Front) -> HTMLResponse:
    """All pipeline files."""
    found = front.pipeline_files.files()
    users = {file.name: len(front.context.records.projects_with(file.name)) for file in found.files}
    return page(
        request,
        "pipelines.html",
        files=found.files,
        others=found.others,
        users=users,
        directory=front.settings.pipelines_dir,
    )


@room.route_for("/pipelines/{name}", role="viewer")
def show_pipeline(  # noqa: PLR0913  # the parts of its address
    request: Request,
    front: Front,
    name: str,
    *,
    show: Annotated[Part | None, Query()] = None,
    old: Annotated[str | None, Query(max_length=64)] = None,
    new: Annotated[str, Query(max_length=64)] = CURRENT,
) -> HTMLResponse:
    """One pipeline: its stages, its file, or its versions and users."""
    file = front.pipeline_files.file(name)
    shown: Part = show or ("file" if file.pipeline is None else "stages")
    versions = front.pipeline_files.versions(name)
    changes, problem = _changes(front, name, old, new)
    return page(
        request,
        "pipeline.html",
        file=file,
        shown=shown,
        versions=versions,
        projects=[project for version in versions for project in version.projects],
        lines=_lines(front.pipeline_files.source(name), file.problems) if shown == "file" else (),
        drawing=draw({stage.name: stage.after for stage in file.pipeline.stages}) if file.pipeline else None,
        comments=front.pipeline_files.comments(name) if shown == "stages" else {},
        changes=changes,
        changes_problem=problem,
        old=old or "",
        new=new,
    )


def _changes(front: Installation, name: str, old: str | None, new: str) -> tuple[tuple[str, ...] | None, str]:
    """What changed, or why that cannot be said: a file with errors must not hide the rest of the page."""
    if not old:
        return None, ""
    try:
        return front.pipeline_files.changes(name, old, new).changes, ""
    except WinslowError as error:
        return None, str(error)


def _lines(source: str, problems: tuple[Problem, ...]) -> list[SourceLine]:
    lines = source.splitlines()[:LINES_MOST] or [""]
    at: dict[int, list[Problem]] = {}
    for problem in problems:
        at.setdefault(min(max(1, problem.line), len(lines)), []).append(problem)
    return [SourceLine(number, text, tuple(at.get(number, ()))) for number, text in enumerate(lines, 1)]
