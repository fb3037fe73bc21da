"""Pipeline files: their contents, problems, versions and users."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room
from winslow_dagster.projects.commands.pipelines import CURRENT
from winslow_dagster.projects.domain.charts import SavedChart
from winslow_dagster.projects.domain.pipeline_views import (
    PipelineFile,
    PipelineFiles,
    PipelineVersionView,
    VersionChanges,
)
from winslow_dagster.tables.charts import ChartQuery


class NewChart(BaseModel):
    """A chart to save. One of the same name and stage is replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    name: str
    file: str
    query: ChartQuery


room = Room("/pipelines", tags=["pipelines"])

Version = Annotated[str, Query(max_length=64, description="A digest, at least its first six digits, or `current`.")]


@room.route_for("", role="viewer")
def list_pipelines(front: Front) -> PipelineFiles:
    """All pipeline files, with the problems of those that cannot be used."""
    return front.pipeline_files.files()


@room.route_for("/{name}", role="viewer")
def show_pipeline(front: Front, name: str) -> PipelineFile:
    """One pipeline with every default filled in, or its problems."""
    return front.pipeline_files.file(name)


@room.route_for("/{name}/source", role="viewer")
def show_source(front: Front, name: str) -> str:
    """The text of its file."""
    return front.pipeline_files.source(name)


@room.route_for("/{name}/versions", role="viewer")
def list_versions(front: Front, name: str) -> tuple[PipelineVersionView, ...]:
    """Its kept versions, the latest first, with the projects that use them."""
    return front.pipeline_files.versions(name)


@room.route_for("/{name}/changes", role="viewer")
def show_changes(front: Front, name: str, old: Version, new: Version = CURRENT) -> VersionChanges:
    """What changed from one version to another."""
    return front.pipeline_files.changes(name, old, new)


@room.route_for("/{name}/charts", role="viewer")
def list_charts(front: Front, name: str, stage: str | None = None) -> tuple[SavedChart, ...]:
    """The charts that people saved for the results of its stages, or of one."""
    return front.charts.of(name, stage)


@room.route_for("/{name}/charts", role="operator", method="PUT")
def save_chart(front: Front, name: str, body: NewChart) -> SavedChart:
    """Save a chart for the results of a stage. Everybody sees it, with each attempt."""
    return front.charts.save(name, body.stage, body.name, body.file, body.query)


@room.route_for("/{name}/charts", role="operator", method="DELETE", status_code=HTTPStatus.NO_CONTENT)
def delete_chart(front: Front, name: str, stage: str, chart: str) -> None:
    """Delete a chart."""
    front.charts.delete(name, stage, chart)
