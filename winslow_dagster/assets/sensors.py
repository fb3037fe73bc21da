"""Sensors that keep the asset graph up to date: projects as partitions, their inputs, and the table of results."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dagster import (
    AddDynamicPartitionsRequest,
    AssetMaterialization,
    DefaultSensorStatus,
    DeleteDynamicPartitionsRequest,
    MetadataValue,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from winslow_dagster.assets.graph import RESULTS, input_key, projects_of
from winslow_dagster.jobs.console_page import CONSOLE_PAGE, console_page
from winslow_dagster.jobs.materialization import markdown_table
from winslow_dagster.pipelines import pipeline_names
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.new_inputs import SETTLED_AFTER, Mark, NewInput, new_inputs, projects_by_pipeline
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.status.results_csv import HEADINGS, ResultsTable, newest_success, write_results
from winslow_dagster.settings import Settings

MAX_INPUTS = 500
"""Per evaluation: each becomes an event in Dagster's log."""


def sync_partitions(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Add a partition for each new project, remove those of deleted ones, and report new inputs.

    After a crash some inputs may be reported twice.
    """
    settings = Settings.read()
    records = ProjectRecords.open(settings.database_url)
    try:
        projects = projects_by_pipeline(records.database)
        mark = Mark.parse(context.cursor) if context.cursor else None
        until = datetime.now(UTC) - SETTLED_AFTER
        inputs = new_inputs(records.database, mark, until, MAX_INPUTS)
    finally:
        records.close()
    requests: list[AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest] = []
    nothing: frozenset[str] = frozenset()
    for pipeline in sorted({*projects, *pipeline_names(settings.pipelines_dir)}):
        partitions = projects_of(pipeline)
        known = set(context.instance.get_dynamic_partitions(str(partitions.name)))
        names = projects.get(pipeline, nothing)
        if missing := sorted(names - known):
            requests.append(partitions.build_add_request(missing))
        if deleted := sorted(known - names):
            requests.append(partitions.build_delete_request(deleted))
    if not requests and not inputs:
        return SkipReason("no new or deleted projects, and no new inputs")
    return SensorResult(
        dynamic_partitions_requests=requests,
        asset_events=[input_event(new) for new in inputs],
        cursor=str(Mark.of(inputs[-1].added)) if inputs else context.cursor,
    )


def input_event(new: NewInput) -> AssetMaterialization:
    """A new version of an input, as a materialization in its project's partition."""
    added = new.added
    files = added.manifest.files
    metadata: dict[str, Any] = {
        CONSOLE_PAGE: console_page(added.project),
        "version": added.version,
        "size_bytes": added.manifest.size_bytes,
        "files": len(files),
        "original_path": MetadataValue.path(added.original_path),
        "address": added.manifest.address,
        "added_by": added.added_by,
        "added_at": MetadataValue.timestamp(added.added_at),
    }
    tags = {}
    if len(files) == 1:
        metadata["blake3"] = files[0].blake3
        tags["dagster/data_version"] = files[0].blake3
    return AssetMaterialization(
        asset_key=input_key(new.pipeline, added.name), partition=added.project, metadata=metadata, tags=tags
    )


def export_results(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Rewrite the table of all results if an attempt has succeeded since, or a project was deleted or restored.

    Takes about a second.
    """
    settings = Settings.read()
    target = settings.home / "results.csv"
    records = ProjectRecords.open(settings.database_url)
    try:
        newest = newest_success(records.database)
        if newest is None:
            return SkipReason("no attempt has succeeded yet")
        deleted = [each.deleted_at.isoformat() for each in Deletions(records.database).all()]
        cursor = " ".join((newest.isoformat(), *deleted[:1], *([str(len(deleted))] if deleted else [])))
        if cursor == context.cursor and target.exists():
            return SkipReason(f"no attempt has succeeded since {newest.isoformat()}")
        table = write_results(records.database, target)
    finally:
        records.close()
    return SensorResult(asset_events=[results_event(table)], cursor=cursor)


def results_event(table: ResultsTable) -> AssetMaterialization:
    """The table as a materialization, with its first rows."""
    return AssetMaterialization(
        asset_key=RESULTS,
        metadata={
            "path": MetadataValue.path(str(table.path)),
            "dagster/row_count": table.rows,
            "projects": table.projects,
            "size_bytes": table.size_bytes,
            "preview": MetadataValue.md(markdown_table([list(HEADINGS), *map(list, table.first)])),
        },
    )


partitions_sensor = SensorDefinition(
    name="sync_partitions",
    evaluation_fn=sync_partitions,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Keeps a partition for each project, and reports its inputs",
)
results_sensor = SensorDefinition(
    name="export_results",
    evaluation_fn=export_results,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Writes the results of all projects to one CSV table",
)
