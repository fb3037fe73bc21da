"""What workspace.yaml loads; composition only."""

from dagster import repository

from winslow_dagster.jobs.repository import pipeline_jobs
from winslow_dagster.sensors.recovery import recovery_sensor
from winslow_dagster.settings import Settings


@repository(name="winslow", description="Every pipeline file is a job; a stage is an op; a project is a partition")
def winslow() -> dict[str, dict[str, object]]:
    """Lazy: a job is compiled when it is asked for."""
    return {
        "jobs": dict(pipeline_jobs(Settings.read())),
        "sensors": {recovery_sensor.name: lambda: recovery_sensor},
    }
