"""One question of a project: what is asked, its pictures, drafts, and what is to be said about an answer before it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from winslow_dagster.console.answer_form import SentAnswer
from winslow_dagster.console.caller import Front
from winslow_dagster.console.file_response import file_response
from winslow_dagster.console.footage_paths import is_shown_as_it_is
from winslow_dagster.console.rest.project import RunStarted
from winslow_dagster.console.room import LOGS, Room
from winslow_dagster.errors import InputRejected
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.pipelines import AnswerJudgement
from winslow_dagster.projects.domain.views import Draft, QuestionDetails
from winslow_dagster.projects.inputs.uploads import InputStream

PREFIX = "/projects/{project}/questions/{stage}"
FILE = "file."
ANSWER_FORM = {
    "type": "object",
    "properties": {
        "values": {"type": "string", "description": "JSON: field -> value.", "default": "{}"},
        "resume": {"type": "string", "enum": ["true", "false"], "default": "true"},
        "replaces": {"type": "string", "description": "The version of an earlier answer that is given again."},
    },
    "additionalProperties": {
        "type": "string",
        "format": "binary",
        "description": "`file.FIELD`: the file for this field. At most 100 MiB in all.",
    },
}
room = Room(prefix=PREFIX, tags=["project"])
image_room = Room(prefix=PREFIX, tags=["project"], threads=LOGS)

PipelineName = Annotated[str | None, Query(description="Another pipeline that the project ran through.")]
FieldName = Annotated[str, Query(description="A field with a picture.")]


class Entered(BaseModel):
    """What was entered, by field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, Any] = Field(default_factory=dict)


class EnteredDraft(Entered):
    """A draft. `after`: the version that it was made from, 0 for none."""

    after: Annotated[int, Field(ge=0, le=2**31 - 2)] = 0


@room.route_for("", role="viewer")
def show_question(front: Front, project: str, stage: str, pipeline: PipelineName = None) -> QuestionDetails:
    """The open question of a stage, or the one that was answered last, with what people have entered."""
    return front.project(project).question(stage, pipeline=pipeline)


def read_image(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request, front: Front, project: str, stage: str, field: FieldName, pipeline: PipelineName = None
) -> Response:
    """The picture that a field is drawn on, or a range of it."""
    handle = front.project(project)
    file = handle.question_image(stage, field, pipeline=pipeline)
    if is_shown_as_it_is(file.path):
        return file_response(request, handle.read_file, file, download=False)
    picture = handle.picture_of(file)
    return Response(picture.content, media_type=picture.media_type, headers={"Cache-Control": "private, no-cache"})


for method in ("GET", "HEAD"):
    image_room.route_for(
        "/image",
        role="viewer",
        method=method,
        response_class=Response,
        responses={200: {"content": {"*/*": {}}, "description": "The picture."}},
        include_in_schema=method == "GET",
    )(read_image)


@room.route_for("/proposals", role="viewer")
def show_proposals(
    front: Front, project: str, stage: str, pipeline: PipelineName = None
) -> dict[str, list[dict[str, Any]]]:
    """The points that a stage proposes, by field."""
    return front.project(project).proposals(stage, pipeline=pipeline)


@room.route_for("/judgement", role="viewer", method="POST")
def judge(front: Front, project: str, stage: str, body: Entered, pipeline: PipelineName = None) -> AnswerJudgement:
    """What is invalid, and what is implausible, of an answer before it is given."""
    return front.project(project).judge_answer(stage, body.values, pipeline=pipeline)


@room.route_for(
    "/answer",
    role="operator",
    method="POST",
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": ANSWER_FORM}}}},
)
def answer_with_files(
    front: Front, project: str, stage: str, form: SentAnswer, pipeline: PipelineName = None
) -> RunStarted:
    """Answer a question with files, and resume if nothing else is asked."""
    values = _parsed(form, "values", "{}", dict)
    replaces = _parsed(form, "replaces", "null", int | None)
    resume = _parsed(form, "resume", "true", bool)
    files = {
        name.removeprefix(FILE): InputStream(sent.filename or name, sent.file)
        for name, sent in form.items()
        if name.startswith(FILE) and isinstance(sent, UploadFile)
    }
    handle = front.project(project)
    run = handle.answer(stage, values, files, pipeline=pipeline, resume=resume, replaces=replaces)
    return RunStarted(project=project, run_id=None if run is None else run.run_id)


def _parsed(form: FormData, name: str, default: str, kind: Any) -> Any:
    """A part of the form as JSON. Raises InputRejected."""
    text = form.get(name, default)
    try:
        found = parse_json(text) if isinstance(text, str) else text
    except JsonMalformed as error:
        raise InputRejected(f"{name} is not JSON: {error}", where="the form") from error
    if not isinstance(found, kind) or (kind is not bool and isinstance(found, bool)):
        raise InputRejected(f"{name} is {text!r}", where="the form", expected=f"JSON such as {default}")
    return found


@room.route_for("/draft", role="operator", method="PUT")
def save_draft(front: Front, project: str, stage: str, body: EnteredDraft, pipeline: PipelineName = None) -> Draft:
    """Keep what was entered, for the person who sends it."""
    return front.project(project).save_draft(stage, body.values, after=body.after, pipeline=pipeline)


@room.route_for("/draft", role="operator", method="DELETE", status_code=HTTPStatus.NO_CONTENT)
def remove_draft(front: Front, project: str, stage: str, pipeline: PipelineName = None) -> None:
    """Forget what the person who sends this has entered."""
    front.project(project).remove_draft(stage, pipeline=pipeline)
