"""Imports what a run worker imports, so that forked workers do not have to.

Most of it is loaded when Dagster opens its instance (about a second) and depends on the database: so the instance is
opened once, and closed. The repository imports everything that the compiler and the stage op use.
"""

from dagster import DagsterInstance

from winslow_dagster.assets import repository, sensors
from winslow_dagster.sensors import ingest, notifications, orphans, recovery, retention

__all__ = ["ingest", "notifications", "orphans", "recovery", "repository", "retention", "sensors"]

with DagsterInstance.get() as instance:
    instance.get_runs_count()
