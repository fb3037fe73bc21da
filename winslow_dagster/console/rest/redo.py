"""Running stages of a project again: planned, once, or for many values. Names are those of Python."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from winslow_dagster.console.caller import Front
from winslow_dagster.console.rest.project import RequestBody, RunStarted
from winslow_dagster.console.room import Room
from winslow_dagster.console.stage_place import PlaceOf
from winslow_dagster.pipelines.variables import Variables
from winslow_dagster.projects.domain.lineage_view import ProjectLineage
from winslow_dagster.projects.domain.run_plan import RunPlan, StageParameters
from winslow_dagster.projects.domain.sweeps import Sweep, SweepSummary

room = Room(prefix="/projects/{project}", tags=["project"])


class RedoSettings(RequestBody):
    """What is different when a stage runs again. `inputs` are files of the pool: `pool:NAME`."""

    stage: str
    pipeline: str | None = None
    env: Variables = Field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    inputs: dict[str, Annotated[str, Field(pattern="^pool:")]] = Field(default_factory=dict)
    use: dict[str, str | int] = Field(default_factory=dict)
    only: bool = False
    stop_after: str | None = None
    reuse: bool = False


class RedoRequest(RedoSettings):
    """See `project.redo` of the Python API."""

    reason: str = ""


class PlanRequest(RedoSettings):
    """See `project.plan` of the Python API. `values`: variable -> the values that a sweep tries."""

    values: dict[str, list[str]] | None = None
    max_concurrent: int | None = None


class SweepRequest(RequestBody):
    """See `project.sweep` of the Python API. `values`: variable -> the values that it tries."""

    stage: str
    values: dict[str, list[str]]
    pipeline: str | None = None
    env: Variables = Field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    use: dict[str, str | int] = Field(default_factory=dict)
    stop_after: str | None = None
    reuse: bool = False
    max_concurrent: int | None = None
    reason: str = ""


class SweepStarted(RequestBody):
    """The runs of a sweep, which continue in the background."""

    project: str
    run_ids: tuple[str, ...]


def given(body: RequestBody) -> dict[str, Any]:
    """What was sent, as the front door takes it by name; the stage is not among it."""
    return {name: getattr(body, name) for name in type(body).model_fields if name != "stage"}


@room.route_for("/stages/{stage}/parameters", role="viewer")
def show_parameters(front: Front, project: str, stage: str, place: PlaceOf) -> StageParameters:
    """Everything that can be set for a stage when it runs again, beside its latest attempt or one of them."""
    return front.project(project).parameters(stage, place.attempt, pipeline=place.pipeline)


@room.route_for("/plan", role="operator", method="POST")
def plan(front: Front, project: str, body: PlanRequest) -> RunPlan:
    """What a redo or a sweep would do. Nothing is started or changed."""
    return front.project(project).plan(body.stage, **given(body))


@room.route_for("/redo", role="operator", method="POST")
def redo(front: Front, project: str, body: RedoRequest) -> RunStarted:
    """Run a stage and the stages that follow it again, with other settings."""
    run = front.project(project).redo(body.stage, **given(body))
    return RunStarted(project=project, run_id=run.run_id)


@room.route_for("/lineage", role="viewer")
def show_lineage(front: Front, project: str) -> ProjectLineage:
    """Which of its outputs were made from which."""
    return front.project(project).lineage()


@room.route_for("/sweeps", role="viewer")
def list_sweeps(front: Front, project: str) -> tuple[SweepSummary, ...]:
    """All its sweeps, the latest first."""
    return front.project(project).sweeps()


@room.route_for("/sweeps/{sweep}", role="viewer")
def show_sweep(front: Front, project: str, sweep: str) -> Sweep:
    """One sweep, by its id or `latest`, with its runs and what picking one would do."""
    return front.project(project).sweep_runs(sweep)


@room.route_for("/sweep", role="operator", method="POST")
def sweep(front: Front, project: str, body: SweepRequest) -> SweepStarted:
    """Run a stage once for every combination of values, side by side."""
    runs = front.project(project).sweep(body.stage, **given(body))
    return SweepStarted(project=project, run_ids=tuple(run.run_id for run in runs))
