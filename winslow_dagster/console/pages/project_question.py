"""A stage's question: a form, what is marked on its pictures, and beside a review the result that is reviewed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.answer_form import UPLOAD_MOST_BYTES, SentAnswer
from winslow_dagster.console.caller import CallerOf, Front
from winslow_dagster.console.footage_paths import footage_path
from winslow_dagster.console.pages.project import NAMES
from winslow_dagster.console.project_tabs import highlights
from winslow_dagster.console.project_view import file_path
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.errors import NotFound
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import Draft, QuestionDetails
from winslow_dagster.projects.inputs.uploads import InputStream
from winslow_dagster.projects.installation import Installation

MARKED = frozenset({"points", "polygon", "lines"})
"""Kinds of fields that are marked on a picture."""
NEEDS_LOOKED_AT = 50

room = Room(prefix="/projects/{project}/questions/{stage}")

PipelineName = Annotated[str | None, Query()]
Answered = Annotated[str, Query(max_length=63)]


@room.route_for("", role="viewer")
def show_question(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request,
    front: Front,
    caller: CallerOf,
    project: str,
    stage: str,
    pipeline: PipelineName = None,
    answered: Answered = "",
) -> HTMLResponse:
    """The question and its fields."""
    handle = front.project(project)
    asked = handle.question(stage, pipeline=pipeline)
    form = [field | {"id": f"field-{field['name']}"} for field in asked.question.form]
    own = next((draft for draft in asked.drafts if draft.author == caller.name), None)
    marked = [field for field in form if field["kind"] in MARKED]
    return page(
        request,
        "project/question.html",
        project=project,
        asked=asked,
        question=asked.question,
        form=form,
        marked=marked,
        reviewed=_reviewed(handle, asked),
        values=_start(asked, own),
        operates=caller.may("operator") and handle.may_act(),
        answered=answered,
        data=_data(handle, asked, own, caller.name) if form else "{}",
        query=_query(asked),
        upload_most=UPLOAD_MOST_BYTES,
        redo=f"/projects/{quote(project, safe='')}/stages/{{}}/redo",
        name=project,
        attempt=None,
        pipeline_query=None if asked.question.pipeline == handle.pipeline().name else asked.question.pipeline,
        **NAMES,
    )


@room.route_for("/people", role="viewer")
def show_people(  # noqa: PLR0913, PLR0917  # the parts of its address, by name
    request: Request, front: Front, caller: CallerOf, project: str, stage: str, pipeline: PipelineName = None
) -> HTMLResponse:
    """Who else has entered something, and whether somebody has answered. A part of the page."""
    asked = front.project(project).question(stage, pipeline=pipeline)
    return page(request, "project/question_people.html", project=project, asked=asked, own=caller.name)


@room.route_for("", role="operator", method="POST")
def answer(front: Front, project: str, stage: str, form: SentAnswer, pipeline: PipelineName = None) -> Response:
    """Give the answer; the project continues if nothing else is asked. Then the next question, of any project."""
    handle = front.project(project)
    question = handle.question(stage, pipeline=pipeline).question
    values, files = {}, {}
    for field in question.form:
        sent = form.get(f"value.{field['name']}")
        if isinstance(sent, UploadFile):
            if sent.filename:
                files[field["name"]] = InputStream(sent.filename, sent.file)
        elif (value := _value(field, sent or "", form)) is not None:
            values[field["name"]] = value
    replaces = form.get("replaces")
    handle.answer(
        stage,
        values,
        files,
        pipeline=question.pipeline,
        replaces=int(replaces) if isinstance(replaces, str) and replaces.isdecimal() else None,
    )
    return done("The answer is saved.", go_to=_next_question(front, handle, project))


def _next_question(front: Installation, handle: ProjectHandle, project: str) -> str:
    """The next open question of the project, or else of another one; home if there is none."""
    for question in handle.questions():
        own = {} if question.pipeline == handle.pipeline().name else {"pipeline": question.pipeline}
        return _address(project, question.stage, answered=project, **own)
    for need in front.needs(NEEDS_LOOKED_AT).needs:
        if need.kind == "question" and need.project and need.stage and front.project(need.project).may_act():
            return _address(need.project, need.stage, answered=project)
    return "/"


def _address(project: str, stage: str, **query: str) -> str:
    return f"/projects/{quote(project, safe='')}/questions/{quote(stage, safe='')}?{urlencode(query)}"


def _query(asked: QuestionDetails) -> str:
    return urlencode({"pipeline": asked.question.pipeline})


def _start(asked: QuestionDetails, own: Draft | None) -> Mapping[str, Any]:
    """What the fields begin with: the own draft, or else the previous answer."""
    if own is not None and own.values:
        return own.values
    return asked.previous.values if asked.previous is not None else {}


def _data(handle: ProjectHandle, asked: QuestionDetails, own: Draft | None, name: str) -> str:
    """What the scripts of the page need, as JSON."""
    stage, pipeline = asked.question.stage, asked.question.pipeline
    try:
        proposals = handle.proposals(stage, pipeline=pipeline)
    except NotFound:
        # The picture is gone: the page says so at its place.
        proposals = {}
    known = {
        "form": asked.question.form,
        "values": _start(asked, own),
        "draft_version": own.version if own else 0,
        "has_draft": bool(own and own.values),
        "proposals": proposals,
        "films": _films(handle, asked),
        "is_open": asked.is_open,
        "me": name,
    }
    return json.dumps(known, ensure_ascii=False)


def _films(handle: ProjectHandle, asked: QuestionDetails) -> dict[str, dict[str, str]]:
    """By field, the addresses of the video of which a frame is marked, as `<frame-player>` takes them."""
    stage, where = asked.question.stage, {"pipeline": asked.question.pipeline}
    try:
        films = handle.question_films(stage, **where)
        files = {field: handle.file_at(*film, **where) for field, film in films.items()}
    except NotFound:
        return {}
    found = {}
    for field, (address, attempt) in films.items():
        file, query = files[field], where | {"attempt": attempt}
        found[field] = {"name": file.path, "src": file_path(handle.name, file.stage, file.path, **query)} | {
            what: footage_path(handle.name, what, address, version=file.blake3, **query)
            for what in ("footage", "frames", "filmstrip", "proxy")
        }
    return found


def _reviewed(handle: ProjectHandle, asked: QuestionDetails) -> list[dict[str, Any]]:
    """The results that are to be accepted or rejected."""
    found = []
    for field in asked.question.form:
        if field["kind"] == "confirm":
            stage, pipeline = field["stage"], asked.question.pipeline
            files = handle.files(stage, pipeline=pipeline)
            model = handle.pipeline_of_stage(stage, pipeline).stage(stage)
            details = handle.details(stage, pipeline=pipeline)
            results = details.results if details else {}
            found.append({"stage": stage, "results": results, "highlights": highlights(handle, model, files)})
    return found


def _value(field: dict[str, Any], sent: str, form: FormData) -> Any:
    """The value of a field as the front door takes it; None if nothing was filled in."""
    if sent == "":
        return None
    match field["kind"]:
        case "number":
            return _number(sent)
        case "boolean":
            return sent == "true"
        case "confirm":
            why = form.get(f"why.{field['name']}")
            return {"accepted": sent == "true"} | ({"why": why} if isinstance(why, str) and why.strip() else {})
        case "choice":
            return next((one["value"] for one in field["options"] if str(one["value"]) == sent), sent)
        case kind:
            return _marks(sent) if kind in MARKED else sent


def _marks(text: str) -> Any:
    """The marks, or the text for the front door to refuse."""
    try:
        return parse_json(text) or None
    except JsonMalformed:
        return text


def _number(text: str) -> float | str:
    """The number, or the text for the front door to refuse."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text
