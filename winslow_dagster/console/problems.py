"""How errors reach people and programs: one shape for every route.

Programs get `application/problem+json` (RFC 9457) with the fields of `WinslowError.problem`. A page gets a page. A part
of a page, or a button, gets a message that the page shows without losing what is on it.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from winslow_dagster.actions import Action, command_text
from winslow_dagster.console.rendering import page
from winslow_dagster.errors import (
    DiskFull,
    Fenced,
    Forbidden,
    NotFound,
    NotLoggedIn,
    NotStorable,
    ProjectConflict,
    ProjectDeleted,
    ServiceUnavailable,
    SettingsInvalid,
    StoreError,
    StoreUnreachable,
    TooManyTries,
    UploadBusy,
    UsageError,
    WinslowError,
)

API_PREFIX = "/api/"
STATUS: dict[type[WinslowError], HTTPStatus] = {
    UsageError: HTTPStatus.BAD_REQUEST,
    SettingsInvalid: HTTPStatus.BAD_REQUEST,
    NotLoggedIn: HTTPStatus.UNAUTHORIZED,
    TooManyTries: HTTPStatus.TOO_MANY_REQUESTS,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    ProjectConflict: HTTPStatus.CONFLICT,
    UploadBusy: HTTPStatus.LOCKED,
    ProjectDeleted: HTTPStatus.GONE,
    Fenced: HTTPStatus.GONE,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    StoreUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotStorable: HTTPStatus.UNPROCESSABLE_ENTITY,
    StoreError: HTTPStatus.BAD_GATEWAY,
    ServiceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Every other error is about what was sent."""


def status_of(error: WinslowError) -> HTTPStatus:
    """The HTTP status of an error: that of its nearest class."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return HTTPStatus.UNPROCESSABLE_ENTITY


def problem_response(request: Request, status: HTTPStatus, problem: dict[str, Any], text: str) -> Response:
    """The error in the shape that its reader understands."""
    headers = {}
    if request.headers.get("hx-request") == "true":
        headers = {"HX-Reswap": "none", "HX-Trigger": json.dumps({"winslow:message": {"text": text, "tone": "bad"}})}
    elif request.method == "GET" and not request.url.path.startswith(API_PREFIX):
        return page(request, "problem.html", status=status, problem=problem, command=_command(problem))
    return json_problem(status, problem, text, headers)


def _command(problem: dict[str, Any]) -> str:
    action = problem["action"]
    return command_text(Action(**action)) if action else ""


def json_problem(
    status: HTTPStatus, problem: dict[str, Any], text: str, headers: dict[str, str] | None = None
) -> Response:
    """The error in the shape for programs."""
    body = {"title": status.phrase, "status": status.value, "detail": text, **problem}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def register_problems(app: FastAPI) -> None:
    """Answer every error in the one shape."""

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, WinslowError)  # noqa: S101  # what it is registered for
        return problem_response(request, status_of(error), error.problem(), str(error))

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # what it is registered for
        faults = [
            {"field": ".".join(str(part) for part in fault["loc"][1:]), "message": fault["msg"]}
            for fault in error.errors()
        ]
        text = "; ".join(
            f"{fault['field']}: {fault['message']}" if fault["field"] else fault["message"] for fault in faults
        )
        found = UsageError(text, where=request.url.path)
        return problem_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, found.problem() | {"faults": faults}, text)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
        status = HTTPStatus(error.status_code)
        text = "There is no such page." if status == HTTPStatus.NOT_FOUND else str(error.detail)
        kind = NotFound if status == HTTPStatus.NOT_FOUND else UsageError
        return problem_response(request, status, kind(text, where=request.url.path).problem(), text)

    app.add_exception_handler(WinslowError, known)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http)
