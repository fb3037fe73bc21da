"""Imports what several services and every run worker import, so that their forks have it.

Some of it is loaded only when Dagster opens its instance, and depends on the database: so the instance is opened once,
and closed. That also creates its tables, before the services start: several that create them at once leave a broken
database.
"""

import os

from dagster import DagsterInstance

from winslow_dagster.actions import Action
from winslow_dagster.assets import repository, sensors
from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.sensors import ingest, notifications, orphans, recovery, retention

__all__ = ["ingest", "notifications", "orphans", "recovery", "repository", "retention", "sensors"]

try:
    with DagsterInstance.get() as instance:
        instance.get_runs_count()
except Exception as error:
    # Dagster wraps the errors of databases in many ways.
    raise ServiceUnavailable(
        f"Dagster's instance cannot be opened: {error}",
        where=os.environ["DAGSTER_HOME"],
        remedy=Action("diagnose"),
    ) from error
