"""The sweeps of a project: their runs beside each other, and the pick of one."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.project_view import stage_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.console.sorting import sorted_by
from winslow_dagster.projects.domain.sweeps import Sweep, SweepRun

room = Room(prefix="/projects/{project}/sweeps")

Sort = Annotated[str, Query(max_length=300)]
Descending = Annotated[bool, Query()]


@room.route_for("", role="viewer")
def show_sweeps(request: Request, front: Front, project: str) -> HTMLResponse:
    """All sweeps of the project."""
    sweeps = front.project(project).sweeps()
    return page(request, "project/sweeps.html", project=project, sweeps=sweeps, sweep_path=sweep_path)


@room.route_for("/{sweep}", role="viewer")
def show_sweep(  # noqa: PLR0913  # the parts of its address
    request: Request, front: Front, project: str, sweep: str, sort: Sort = "", *, descending: Descending = False
) -> HTMLResponse:
    """One sweep, or with `latest` in place of its id the latest."""
    handle = front.project(project)
    found = handle.sweep_runs(sweep)
    status = handle.status()
    return page(
        request,
        "project/sweep.html",
        project=project,
        actions=status.actions,
        sweep=found,
        rows=sorted_by(found.runs, lambda run: cell(run, sort), descending=descending) if sort else found.runs,
        results=tuple(dict.fromkeys(name for run in found.runs for name in run.results)),
        sort=sort,
        descending=descending,
        acts=handle.may_act(),
        own=found.pipeline == status.pipeline,
        running=sum(run.state == "running" for run in found.runs),
        number_in_use=number_in_use(found),
        sweep_path=sweep_path,
        stage_path=stage_path,
        command=command,
    )


def sweep_path(project: str, sweep: str, **query: str | int | None) -> str:
    """The address of a sweep."""
    path = f"/projects/{quote(project, safe='')}/sweeps/{quote(sweep, safe='')}"
    chosen = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(chosen)}" if chosen else path


def cell(run: SweepRun, column: str) -> object:
    """What a run has in a column: `number`, `state`, `took`, `value.NAME` or `result.NAME`."""
    kind, _, name = column.partition(".")
    match kind:
        case "value":
            return run.values.get(name)
        case "result":
            return run.results.get(name)
        case "took":
            return run.duration_s
        case "state":
            return run.state
        case _:
            return run.number


def number_in_use(sweep: Sweep) -> int | None:
    """The number of the run whose outputs the stage has now; None if they are not of this sweep."""
    return next((run.number for run in sweep.runs if run.task_id is not None and run.task_id == sweep.in_use), None)
