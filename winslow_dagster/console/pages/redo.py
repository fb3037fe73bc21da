"""The redo drawer of a stage: everything that can be set, what that would do, and the start of it."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from winslow_dagster.console.acts import SentForm
from winslow_dagster.console.caller import Front
from winslow_dagster.console.pages.project import stage_page
from winslow_dagster.console.redo_form import EnteredRedo, command_of, entered, field_prefix
from winslow_dagster.console.room import Room
from winslow_dagster.console.stage_place import PlaceOf
from winslow_dagster.errors import InputRejected, WinslowError
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.commands.project_check import message_of
from winslow_dagster.projects.commands.run_plan import faults_of_settings
from winslow_dagster.projects.domain.run_plan import Parameter, RunFault, RunPlan, Setting, StageParameters

room = Room(prefix="/projects/{project}/stages/{stage}/redo")

FEW_PARAMETERS = 8
"""So many are always shown, also those that do not differ."""


class CheckedRedo(BaseModel):
    """What would happen, or what is wrong with the form; and the command that does the same."""

    plan: RunPlan | None
    faults: tuple[RunFault, ...]
    command: str


@room.route_for("", role="operator")
def show_drawer(request: Request, front: Front, project: str, stage: str, place: PlaceOf) -> HTMLResponse:
    """The drawer over the project's page. `attempt` in its query fills in the settings of that attempt."""
    handle = front.project(project)
    known = handle.parameters(stage, place.attempt, pipeline=place.pipeline)
    return stage_page(
        request,
        front,
        project,
        stage,
        tab="settings",
        place=place,
        template="project/redo.html",
        settings=handle.settings(stage, place.attempt, pipeline=place.pipeline),
        known=known,
        new=new_values(known),
        prefixes={each.stage: field_prefix(stage, each.stage) for each in known.following},
        ends={each: [last for last, reached in known.later.items() if each in reached] for each in known.later},
        differing=_differing(known),
        pool=list(front.pool.names()) if known.inputs else [],
    )


@room.route_for("/check", role="operator", method="POST")
def check_form(front: Front, project: str, stage: str, form: SentForm, place: PlaceOf) -> CheckedRedo:
    """What the form would do so far. Nothing is started."""
    handle = front.project(project)
    redo = entered(form, handle.parameters(stage, place.attempt, pipeline=place.pipeline), place.pipeline)
    plan, faults = _planned(handle, redo)
    return CheckedRedo(plan=plan, faults=faults, command=command_of(project, redo))


@room.route_for("", role="operator", method="POST")
def start(front: Front, project: str, stage: str, form: SentForm, place: PlaceOf) -> Response:
    """Start the redo or the sweep, and go to the page that shows it."""
    handle = front.project(project)
    redo = entered(form, handle.parameters(stage, place.attempt, pipeline=place.pipeline), place.pipeline)
    _, faults = _planned(handle, redo)
    if faults:
        detail = "; ".join(f"{each.field}: {each.message}" if each.field else each.message for each in faults)
        problem = InputRejected(detail, where="the form").problem()
        shown = [each.model_dump() for each in faults]
        body = {"title": "Unprocessable Entity", "status": 422, "detail": detail, **problem, "faults": shown}
        return JSONResponse(body, HTTPStatus.UNPROCESSABLE_ENTITY, media_type="application/problem+json")
    address = f"/projects/{quote(project, safe='')}"
    if redo.values is not None:
        handle.sweep(stage, **redo.sweepable)
        return RedirectResponse(f"{address}/sweeps/latest", HTTPStatus.SEE_OTHER)
    handle.redo(stage, **redo.redoable)
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


def _planned(handle: ProjectHandle, redo: EnteredRedo) -> tuple[RunPlan | None, tuple[RunFault, ...]]:
    """The plan, or the faults that keep it from being made, each at its field if that can be told."""
    faults = [
        *redo.faults,
        *(
            each.model_copy(update={"field": field_prefix(redo.stage, stage) + each.field})
            for stage, changed in redo.settings.items()
            for each in faults_of_settings(stage, changed)
        ),
    ]
    if faults:
        return None, tuple(faults)
    try:
        return handle.plan(redo.stage, **redo.plannable), ()
    except WinslowError as error:
        place = next((f"input.{name}" for name in redo.inputs if name in error.where or name in error.what), "")
        return None, (RunFault(field=place, message=message_of(error)),)


def new_values(known: StageParameters) -> dict[str, str]:
    """What the fields have at first: what the attempt's run had set, so that it runs as before, or else the default."""
    found: dict[str, str] = {}
    for stage in (known, *known.following):
        prefix = field_prefix(known.stage, stage.stage)
        found |= {f"{prefix}env.{each.name}": _new(each) for each in stage.variables if not each.secret}
        found |= {f"{prefix}set.{each.name}": _new(each) for each in stage.settings}
    return found


def _new(parameter: Parameter | Setting) -> str:
    return parameter.last if parameter.set_by_run and parameter.last is not None else parameter.default


def _differing(known: StageParameters) -> bool:
    """Whether only what differs from the defaults is shown at first."""
    differ = any(each.set_by_run for each in known.variables) or any(each.set_by_run for each in known.settings)
    return differ and len(known.variables) > FEW_PARAMETERS
