"""Importing this imports what a run worker will import, so that workers forked afterwards need not.

Most of it is what Dagster loads when it opens its instance (about a second), which differs by database; so the instance
is opened once, and closed. Every module that the compiler and the stage op use comes with the repository.
"""

from dagster import DagsterInstance

from winslow_dagster.assets import repository, sensors
from winslow_dagster.sensors import recovery

__all__ = ["recovery", "repository", "sensors"]

with DagsterInstance.get() as instance:
    instance.get_runs_count()
