"""Keeps Dagster's view of projects up to date: who they are, what they brought, and their results in one table."""

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

from winslow_dagster.assets.graph import PROJECTS, RESULTS, input_key
from winslow_dagster.jobs.materialization import markdown_table
from winslow_dagster.projects.database.new_inputs import SETTLED_AFTER, Mark, NewInput, new_inputs, project_names
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.status.results_csv import HEADINGS, ResultsTable, newest_success, write_results
from winslow_dagster.settings import Settings

MOST_ARRIVALS = 500
"""At a tick: each is an event in Dagster's log."""


def catalogue_projects(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Make each project a partition, and report each file it brought. A crash may have some reported twice."""
    settings = Settings.read()
    records = ProjectRecords.open(settings.database_url)
    try:
        names = project_names(records.database)
        mark = Mark.parse(context.cursor) if context.cursor else None
        until = datetime.now(UTC) - SETTLED_AFTER
        arrived = new_inputs(records.database, mark, until, MOST_ARRIVALS)
    finally:
        records.close()
    missing = sorted(names - set(context.instance.get_dynamic_partitions(str(PROJECTS.name))))
    if not missing and not arrived:
        return SkipReason("no new project, and no new file")
    requests: list[AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest] = (
        [PROJECTS.build_add_request(missing)] if missing else []
    )
    return SensorResult(
        dynamic_partitions_requests=requests,
        asset_events=[arrival_event(arrival) for arrival in arrived],
        cursor=str(Mark.of(arrived[-1].added)) if arrived else context.cursor,
    )


def arrival_event(arrival: NewInput) -> AssetMaterialization:
    """An input version as a materialization in its project's partition."""
    added = arrival.added
    files = added.manifest.files
    metadata: dict[str, Any] = {
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
        asset_key=input_key(arrival.pipeline, added.name), partition=added.project, metadata=metadata, tags=tags
    )


def tabulate_results(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Write the table of all results again where an attempt has succeeded since. In place: it takes a second."""
    settings = Settings.read()
    target = settings.home / "results.csv"
    records = ProjectRecords.open(settings.database_url)
    try:
        newest = newest_success(records.database)
        if newest is None:
            return SkipReason("nothing has succeeded yet")
        if newest.isoformat() == context.cursor and target.exists():
            return SkipReason(f"nothing has succeeded since {newest.isoformat()}")
        table = write_results(records.database, target)
    finally:
        records.close()
    return SensorResult(asset_events=[results_event(table)], cursor=newest.isoformat())


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


catalogue_sensor = SensorDefinition(
    name="catalogue_projects",
    evaluation_fn=catalogue_projects,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Makes each project a partition, and reports the files it brought",
)
results_sensor = SensorDefinition(
    name="tabulate_results",
    evaluation_fn=tabulate_results,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Writes the results of all projects into one table",
)
