"""Creating projects, and running pipelines for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.project_check import NewProject, ProjectFault
from winslow_dagster.projects.domain.views import PipelineVersion

room = Room(tags=["projects"])


class ProjectBody(BaseModel):
    """A new project. `inputs`: name -> a path on the server, or `pool:NAME`.

    `env`: variable -> a text, or `{"secret": NAME}` for a stored secret.
    """

    model_config = ConfigDict(extra="forbid")

    pipeline: str
    project: str
    inputs: dict[str, str] = Field(default_factory=dict)
    env: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    notes: str = ""


class RunBody(BaseModel):
    """A run of a pipeline for a project, which is created if it does not exist. See `Winslow.run`."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str
    project: str
    inputs: dict[str, str] = Field(default_factory=dict)
    env: dict[str, Any] = Field(default_factory=dict)
    start_from: list[str] = Field(default_factory=list)
    stop_after: str | None = None
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    use: dict[str, str | int] = Field(default_factory=dict)
    reuse: bool = False
    pipeline_version: PipelineVersion = "pinned"
    reason: str = ""
    tags: list[str] = Field(default_factory=list)


class Created(BaseModel):
    """The project that was created."""

    project: str


class Started(BaseModel):
    """The run that was queued."""

    project: str
    run_id: str


@room.route_for("/projects", role="operator", method="POST", status_code=HTTPStatus.CREATED)
def create_project(front: Front, body: ProjectBody) -> Created:
    """Create a project without running it."""
    values = body.model_dump()
    created = front.create(values.pop("pipeline"), values.pop("project"), values.pop("inputs"), **values)
    return Created(project=created.name)


@room.route_for("/projects/check", role="operator", method="POST")
def check_project(front: Front, body: ProjectBody) -> tuple[ProjectFault, ...]:
    """What is wrong with a new project before it is created: nothing if it can be created and run."""
    return front.check_project(NewProject(**body.model_dump() | {"tags": tuple(body.tags)}))


@room.route_for("/runs", role="operator", method="POST", status_code=HTTPStatus.CREATED)
def run_pipeline(front: Front, body: RunBody) -> Started:
    """Run a pipeline for a project."""
    values = body.model_dump()
    run = front.run(values.pop("pipeline"), values.pop("project"), values.pop("inputs"), **values)
    return Started(project=body.project, run_id=run.run_id)
