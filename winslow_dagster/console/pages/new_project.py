"""A new project: its pipeline, name, inputs and variables, checked while a person types."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Query, Request
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from winslow_dagster.console.caller import Front
from winslow_dagster.console.commands import command
from winslow_dagster.console.rendering import page
from winslow_dagster.console.room import Room
from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import Pipeline, SecretReference
from winslow_dagster.projects.commands.project_check import NewProject, ProjectFault
from winslow_dagster.projects.inputs.resource_pool import GivenInput
from winslow_dagster.projects.inputs.uploads import InputStream

UPLOAD_MOST_BYTES = 100 * 2**20
REST_MOST_BYTES = 2**20
"""Of a form beside its files."""
FIELDS_MOST, FILES_MOST = 2_000, 100

room = Room()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a pipeline declares. `stages` are those that it is declared for; none: for all."""

    name: str
    default: str
    secret: bool
    stages: tuple[str, ...]
    comment: str


class Checked(BaseModel):
    """What is wrong with a form, and the command that does the same."""

    faults: tuple[ProjectFault, ...]
    command: str


async def form_of(request: Request) -> AsyncIterator[FormData]:
    """The form that is sent. Raises InputRejected if it is too large, before it is read."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > UPLOAD_MOST_BYTES + REST_MOST_BYTES:
        raise InputRejected(
            "the files are too large to be sent with a form",
            expected="at most 100 MiB in all",
            remedy="Send them on the page Files, then choose them from the pool",
        )
    async with request.form(max_files=FILES_MOST, max_fields=FIELDS_MOST, max_part_size=REST_MOST_BYTES) as form:
        yield form


Form = Annotated[FormData, Depends(form_of)]


@room.route_for("/new-project", role="operator")
def show_form(
    request: Request, front: Front, pipeline: Annotated[str | None, Query(max_length=200)] = None
) -> HTMLResponse:
    """The form, for the pipeline that was chosen."""
    files = front.pipeline_files.files().files
    usable = [file.name for file in files if file.pipeline is not None]
    chosen = pipeline or (usable[0] if len(usable) == 1 else None)
    file = front.pipeline_files.file(chosen) if chosen else None
    loaded = file.pipeline if file else None
    return page(
        request,
        "new_project.html",
        names=usable,
        unusable=[each.name for each in files if each.pipeline is None],
        chosen=chosen or "",
        file=file,
        pipeline=loaded,
        groups=variable_groups(loaded, front.pipeline_files.comments(chosen)) if loaded and chosen else {},
        pool=list(front.pool.names()) if loaded and loaded.inputs else [],
        secrets=[each.name for each in front.secrets.list()],
        upload_most=UPLOAD_MOST_BYTES,
    )


@room.route_for("/new-project/check", role="operator", method="POST")
def check_form(front: Front, form: Form) -> Checked:
    """What is wrong with the form so far. Files and secrets are not sent for this, only that they are there."""
    new = entered(form)
    return Checked(faults=front.check_project(new), command=command_of(new, start=form.get("start") != "no"))


@room.route_for("/new-project", role="operator", method="POST")
def create(front: Front, form: Form) -> Response:
    """Create the project, start it if that was asked for, and go to its page."""
    new, start = entered(form), form.get("start") != "no"
    faults = [fault for fault in front.check_project(new) if fault.blocking or (start and not fault.warning)]
    if faults:
        shown = [{"field": fault.field, "message": fault.message} for fault in faults]
        detail = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults)
        problem = InputRejected(detail, where="the form").problem()
        body = {"title": "Unprocessable Entity", "status": 422, "detail": detail, **problem, "faults": shown}
        return JSONResponse(body, HTTPStatus.UNPROCESSABLE_ENTITY, media_type="application/problem+json")
    handle = front.create(new.pipeline, new.project, new.inputs, env=new.env, tags=new.tags, notes=new.notes)
    if start:
        front.run(new.pipeline, handle.name)
    return RedirectResponse(f"/projects/{quote(handle.name, safe='')}", HTTPStatus.SEE_OTHER)


def entered(form: FormData) -> NewProject:
    """What a person has entered; empty fields are left out. Raises InputRejected."""
    texts = {name: value.strip() for name, value in form.multi_items() if isinstance(value, str) and value.strip()}
    inputs: dict[str, GivenInput] = dict(_after("input.", texts))
    for name, file_name in _after("upload_name.", texts).items():
        inputs[name] = InputStream(file_name, io.BytesIO())
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and value.filename and name.startswith("upload."):
            inputs[name.removeprefix("upload.")] = InputStream(value.filename, value.file)
    return NewProject(
        pipeline=texts.get("pipeline", ""),
        project=texts.get("project", ""),
        inputs=inputs,
        env=_env(texts),
        tags=tuple(tag.strip() for tag in texts.get("tags", "").split(",") if tag.strip()),
        notes=texts.get("notes", ""),
    )


def _env(texts: dict[str, str]) -> dict[str, Any]:
    env: dict[str, Any] = {}
    for line in texts.get("more_env", "").splitlines():
        name, equals, value = line.partition("=")
        if line.strip() and not (equals and name.strip()):
            raise InputRejected(f"{line.strip()!r} is not a variable", where="other variables", expected="NAME=VALUE")
        if equals:
            env[name.strip()] = value.strip()
    env |= _after("env.", texts)
    return env | {name: {"secret": secret} for name, secret in _after("secret.", texts).items() if name not in env}


def _after(prefix: str, texts: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in texts.items() if name.startswith(prefix)}


def command_of(new: NewProject, *, start: bool) -> str:
    """The command that does the same."""
    words = ["run" if start else "create", new.pipeline or "PIPELINE", "--project", new.project or "NAME"]
    for name, given in new.inputs.items():
        words += ["--input", f"{name}={given.file_name if isinstance(given, InputStream) else given}"]
    for name, value in new.env.items():
        words += ["--secret", f"{name}={value['secret']}"] if isinstance(value, dict) else ["--env", f"{name}={value}"]
    for tag in new.tags:
        words += ["--tag", tag]
    if new.notes and not start:
        words += ["--notes", new.notes]
    return command(*words)


def variable_groups(pipeline: Pipeline, comments: dict[tuple[str, str], str]) -> dict[str, list[Variable]]:
    """Where variables come from -> the variables: first those of all stages, then those of each stage."""
    groups: dict[str, list[Variable]] = {}
    seen: set[str] = set()
    for stage, layer in (("", pipeline.env), *((each.name, each.env) for each in pipeline.stages)):
        for name, value in layer.items():
            if name in seen:
                continue
            seen.add(name)
            secret = isinstance(value, SecretReference)
            users = tuple(each.name for each in pipeline.stages if name in each.env)
            comment = comments.get((stage, name), "")
            variable = Variable(
                name, value.secret if isinstance(value, SecretReference) else value, secret, users, comment
            )
            groups.setdefault(stage, []).append(variable)
    return groups
