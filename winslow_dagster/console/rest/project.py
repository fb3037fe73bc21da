"""One project: its status, stages, files, history, and what people do with it. Names are those of Python."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from winslow_dagster.console.caller import Front
from winslow_dagster.console.file_response import FILE_ANSWERS, file_response
from winslow_dagster.console.project_tabs import shown_stage
from winslow_dagster.console.room import LOGS, Room, RowId
from winslow_dagster.console.stage_place import PlaceOf
from winslow_dagster.engines.engine import UsageHistory
from winslow_dagster.projects.domain.audit import AuditEntry
from winslow_dagster.projects.domain.todo import Todo
from winslow_dagster.projects.domain.views import (
    AttemptDetails,
    HistoryPage,
    ProjectFile,
    ProjectStatus,
    QuestionView,
    StageSettings,
    StageView,
)
from winslow_dagster.projects.retention.pins import Pin

room = Room(prefix="/projects/{project}", tags=["project"])
file_room = Room(prefix="/projects/{project}", tags=["project"], threads=LOGS)

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0)]


class RequestBody(BaseModel):
    """What is sent with an act. Unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StageInProject(BaseModel):
    """A stage with its chosen attempt, the latest by default. `attempt` is None before the first."""

    stage: StageView
    attempt: AttemptDetails | None
    settings: StageSettings


class RunStarted(BaseModel):
    """The run that continues in the background. None if nothing has to run."""

    project: str
    run_id: str | None


class RunState(BaseModel):
    """`ended`: nothing of the run is running or waits in a queue."""

    project: str
    run_id: str
    ended: bool


class PauseRequest(RequestBody):
    """`after`: the stage after which to pause. Without it, the project pauses after its running stages."""

    after: str | None = None


class ResumeRequest(RequestBody):
    """`pipeline`: another of the project's pipelines than its own."""

    pipeline: str | None = None
    reason: str = ""


class AnswerRequest(RequestBody):
    """`values`: field -> value. `resume`: continue if nothing else is asked.

    `replaces`: the version of an earlier answer that is given again.
    """

    stage: str
    values: dict[str, Any] = Field(default_factory=dict)
    pipeline: str | None = None
    resume: bool = True
    replaces: int | None = None


class AttemptRequest(RequestBody):
    """An attempt by its number, counted from 1, or its task id."""

    stage: str
    attempt: str | int


class PinRequest(AttemptRequest):
    """An attempt to keep, and why."""

    reason: str = ""


class Notes(RequestBody):
    """The notes on a project."""

    notes: str


class NewTodo(RequestBody):
    """The text of a to-do."""

    text: str


class TodoChange(RequestBody):
    """Whether a to-do is done."""

    done: bool


class Tags(RequestBody):
    """The tags of a project."""

    tags: tuple[str, ...]


@room.route_for("", role="viewer")
def show_project(front: Front, project: str) -> ProjectStatus:
    """The status of a project, with its stages."""
    return front.status(project)


@room.route_for("/stages/{stage}", role="viewer")
def show_stage(front: Front, project: str, stage: str, place: PlaceOf) -> StageInProject:
    """One stage: its state, what an attempt ran with and what it reported."""
    handle = front.project(project)
    shown = shown_stage(handle, handle.status(), stage, place)
    return StageInProject(
        stage=shown.view,
        attempt=shown.details,
        settings=handle.settings(stage, place.attempt, pipeline=shown.pipeline.name),
    )


@room.route_for("/stages/{stage}/usage", role="viewer")
def show_usage(front: Front, project: str, stage: str, place: PlaceOf) -> UsageHistory:
    """What the latest attempt of a stage, or another one, uses or used over its time: processors, memory, GPUs."""
    found = front.project(project).usage(stage, place.attempt, pipeline=place.pipeline)
    return found or UsageHistory(node="", step_s=1)


@room.route_for("/attempts", role="viewer")
def list_attempts(front: Front, project: str, limit: Limit = 100, offset: Offset = 0) -> HistoryPage:
    """All attempts of all stages, the latest first."""
    return front.project(project).history_page(limit=limit, offset=offset)


@room.route_for("/stages/{stage}/attempts", role="viewer")
def list_attempts_of_stage(
    front: Front, project: str, stage: str, limit: Limit = 100, offset: Offset = 0
) -> HistoryPage:
    """The attempts of one stage, the latest first."""
    handle = front.project(project)
    handle.pipeline_of_stage(stage)
    return handle.history_page(stage, limit=limit, offset=offset)


@room.route_for("/history", role="viewer")
def show_history(
    front: Front, project: str, stage: str | None = None, limit: Limit = 100, offset: Offset = 0
) -> HistoryPage:
    """What was ever run, the latest first: of all stages or of one."""
    return front.project(project).history_page(stage, limit=limit, offset=offset)


@room.route_for("/runs/{run_id}", role="viewer")
def show_run(front: Front, project: str, run_id: str) -> RunState:
    """Whether a run has ended. How it went is in the status of the project."""
    return RunState(project=project, run_id=run_id, ended=front.project(project).run(run_id).has_ended())


@room.route_for("/runs/{run_id}/cancel", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def cancel_run(front: Front, project: str, run_id: str) -> None:
    """Request the end of one run, such as one of a sweep."""
    front.project(project).run(run_id).cancel()


@room.route_for("/audit", role="viewer")
def show_audit(front: Front, project: str, limit: Limit = 100) -> tuple[AuditEntry, ...]:
    """Who did what with it, the latest first."""
    front.project(project)
    return front.audit(project, limit=limit)


@file_room.route_for("/files", role="viewer")
def list_files(front: Front, project: str, place: PlaceOf, stage: str | None = None) -> tuple[ProjectFile, ...]:
    """The current output files of all stages or of one, or those of an attempt."""
    return front.project(project).files(stage, place.attempt, pipeline=place.pipeline)


def read_file(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    project: str,
    stage: str,
    path: Annotated[str, Path(description="The path of the file in the stage's outputs.")],
    place: PlaceOf,
    *,
    download: Annotated[bool, Query(description="Save the file instead of showing it.")] = False,
) -> Response:
    """The content of a file, or a range of it. A browser runs nothing of it in the name of the reader."""
    handle = front.project(project)
    file = handle.file(stage, path, place.attempt, pipeline=place.pipeline)
    return file_response(request, handle.read_file, file, download=download)


for method in ("GET", "HEAD"):
    file_room.route_for(
        "/files/{stage}/{path:path}",
        role="viewer",
        method=method,
        response_class=Response,
        responses=FILE_ANSWERS,
        include_in_schema=method == "GET",
    )(read_file)


@room.route_for("/questions", role="viewer")
def list_questions(front: Front, project: str) -> tuple[QuestionView, ...]:
    """What a person has to answer before the project can continue."""
    return front.project(project).questions()


@room.route_for("/pause", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def pause(front: Front, project: str, body: PauseRequest) -> None:
    """Start no further stage, or none that follows `after`; running stages finish first."""
    front.project(project).pause(body.after)


@room.route_for("/resume", role="operator", method="POST")
def resume(front: Front, project: str, body: ResumeRequest) -> RunStarted:
    """Continue where it stopped. A pending pause is withdrawn."""
    run = front.project(project).resume(pipeline=body.pipeline, reason=body.reason)
    return RunStarted(project=project, run_id=run.run_id)


@room.route_for("/cancel", role="operator", method="POST")
def cancel(front: Front, project: str) -> RunStarted:
    """Request the end of its runs, with their stages."""
    return RunStarted(project=project, run_id=front.project(project).cancel().run_id)


@room.route_for("/answer", role="operator", method="POST")
def answer(front: Front, project: str, body: AnswerRequest) -> RunStarted:
    """Answer a question, and resume if nothing else is asked."""
    run = front.project(project).answer(
        body.stage, body.values, pipeline=body.pipeline, resume=body.resume, replaces=body.replaces
    )
    return RunStarted(project=project, run_id=None if run is None else run.run_id)


@room.route_for("/pick", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def pick(front: Front, project: str, body: AttemptRequest) -> None:
    """Make the outputs of an attempt the stage's outputs; stages that follow are out of date until they run."""
    front.project(project).pick(body.stage, body.attempt)


@room.route_for("/pins", role="viewer")
def list_pins(front: Front, project: str) -> tuple[Pin, ...]:
    """The attempts of which no rule removes anything."""
    front.project(project)
    return front.retention.pins(project)


@room.route_for("/pin", role="operator", method="POST")
def pin(front: Front, project: str, body: PinRequest) -> Pin:
    """Keep everything of an attempt, whatever the rules say."""
    return front.retention.pin(project, body.stage, body.attempt, reason=body.reason)


@room.route_for("/unpin", role="operator", method="POST", status_code=HTTPStatus.NO_CONTENT)
def unpin(front: Front, project: str, body: AttemptRequest) -> None:
    """Apply the rules to an attempt again."""
    front.retention.unpin(project, body.stage, body.attempt)


@room.route_for("/notes", role="viewer")
def read_notes(front: Front, project: str) -> Notes:
    """The notes on it."""
    return Notes(notes=front.project(project).notes())


@room.route_for("/notes", role="operator", method="PUT")
def write_notes(front: Front, project: str, body: Notes) -> Notes:
    """Replace the notes on it."""
    front.project(project).note(body.notes)
    return body


@room.route_for("/todos", role="viewer")
def list_todos(front: Front, project: str) -> tuple[Todo, ...]:
    """Its to-do list."""
    return front.project(project).todos()


@room.route_for("/todos", role="operator", method="POST", status_code=HTTPStatus.CREATED)
def add_todo(front: Front, project: str, body: NewTodo) -> Todo:
    """Add an entry to its to-do list."""
    return front.project(project).add_todo(body.text)


@room.route_for("/todos/{number}", role="operator", method="PATCH", status_code=HTTPStatus.NO_CONTENT)
def finish_todo(front: Front, project: str, number: RowId, body: TodoChange) -> None:
    """Tick an entry off, or open it again."""
    front.project(project).finish_todo(number, done=body.done)


@room.route_for("/tags", role="viewer")
def list_tags(front: Front, project: str) -> Tags:
    """Its tags, in order."""
    return Tags(tags=front.project(project).tags())


@room.route_for("/tags", role="operator", method="PUT")
def set_tags(front: Front, project: str, body: Tags) -> Tags:
    """Replace its tags."""
    return Tags(tags=front.project(project).tag(body.tags))
