"""A stage's question with a plain form. What is marked on a picture needs more than that."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, Response

from winslow_dagster.console.acts import SentForm, done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.errors import NotFound
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import QuestionView

PLAIN = frozenset({"text", "number", "choice", "boolean", "confirm"})
"""Kinds of fields that a plain form has."""

room = Room(prefix="/projects/{project}/questions/{stage}")

PipelineName = Annotated[str | None, Query()]


@room.route_for("", role="viewer")
def show_question(
    request: Request, front: Front, project: str, stage: str, pipeline: PipelineName = None
) -> HTMLResponse:
    """The question and its fields."""
    question = _question(front.project(project), stage, pipeline)
    hard = [field["name"] for field in question.form if field["kind"] not in PLAIN]
    return page(
        request, "project/question.html", project=project, question=question, hard=hard, command=command, plain=PLAIN
    )


@room.route_for("", role="operator", method="POST")
def answer(front: Front, project: str, stage: str, form: SentForm, pipeline: PipelineName = None) -> Response:
    """Give the answer; the project continues if nothing else is asked."""
    handle = front.project(project)
    question = _question(handle, stage, pipeline)
    values = {field["name"]: value for field in question.form if (value := _value(field, form)) is not None}
    run = handle.answer(stage, values, pipeline=question.pipeline)
    text = "The answer is saved, and the project continues." if run else "The answer is saved."
    return done(text, go_to=f"/projects/{project}")


def _question(handle: ProjectHandle, stage: str, pipeline: str | None) -> QuestionView:
    for question in handle.questions():
        if question.stage == stage and pipeline in {None, question.pipeline}:
            return question
    raise NotFound(f"{stage} asks nothing at the moment", where=f"project {handle.name}")


def _value(field: dict[str, Any], form: FormData) -> Any:
    """The value of a field as the front door takes it; None if nothing was filled in."""
    sent = form.get(f"value.{field['name']}")
    if not isinstance(sent, str) or sent == "":
        return None
    match field["kind"]:
        case "number":
            return _number(sent)
        case "boolean":
            return sent == "true"
        case "confirm":
            return {"accepted": sent == "true"}
        case "choice":
            return next((one["value"] for one in field["options"] if str(one["value"]) == sent), sent)
        case _:
            return sent


def _number(text: str) -> float | str:
    """The number, or the text for the front door to refuse."""
    try:
        return float(text)
    except ValueError:
        return text
