"""What workspace.yaml loads; composition only."""

import os
from typing import Any

from dagster import repository

from winslow_dagster.assets.repository import Assets, LazyRepository
from winslow_dagster.assets.sensors import partitions_sensor, results_sensor
from winslow_dagster.jobs.launcher import PINNED_VERSION
from winslow_dagster.jobs.repository import Version, pipeline_jobs, worker_jobs
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.sensors.disk import disk_sensor
from winslow_dagster.sensors.ingest import ingest_sensor
from winslow_dagster.sensors.notifications import notifications_sensor
from winslow_dagster.sensors.orphans import orphans_sensor
from winslow_dagster.sensors.recovery import recovery_sensor
from winslow_dagster.sensors.retention import retention_sensor
from winslow_dagster.settings import Settings

SENSORS = (
    recovery_sensor,
    notifications_sensor,
    ingest_sensor,
    orphans_sensor,
    retention_sensor,
    disk_sensor,
    partitions_sensor,
    results_sensor,
)


def held_versions(settings: Settings) -> set[Version]:
    """The pipeline versions that projects were started with."""
    records = ProjectRecords.open(settings.database_url)
    try:
        return {Version(*version) for version in records.held_versions()}
    finally:
        records.close()


@repository(name="__repository__", description="A pipeline file is a job; a stage is an op; a project is a partition")
def winslow() -> Any:
    """Lazy: jobs and the asset graph are compiled on demand."""
    settings = Settings.read()
    pinned = os.environ.get(PINNED_VERSION)
    if pinned:
        return LazyRepository(worker_jobs(settings, pinned), SENSORS)
    return LazyRepository(pipeline_jobs(settings, sorted(held_versions(settings))), SENSORS, Assets(settings))
