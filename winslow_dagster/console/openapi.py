"""The description of the REST API: how a program logs in, and the one shape of every error."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

from winslow_dagster.console.problems import STATUS

PATH = "/api/v1/openapi.json"
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
STATUSES = sorted({*STATUS.values(), HTTPStatus.UNPROCESSABLE_ENTITY})

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status.value: {"description": status.phrase, "content": PROBLEM} for status in STATUSES
}
"""The responses that every route may have besides its own."""


class NextAction(BaseModel):
    """An action that helps, as data."""

    name: str
    arguments: dict[str, str]


class Problem(BaseModel):
    """An error (RFC 9457). Some have more fields, such as `faults` with each faulty field of a request."""

    model_config = ConfigDict(extra="allow")

    title: str
    status: int
    detail: str
    error: str
    what: str
    where: str
    expected: str
    remedy: str
    action: NextAction | None


def describe_problems(app: FastAPI) -> None:
    """Have the description say what `Problem` is, and that every route needs a token or the session of a browser."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(title=app.title, version=app.version, routes=app.routes)
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            components = described.setdefault("components", {})
            components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            described["security"] = [{"token": []}]
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way
