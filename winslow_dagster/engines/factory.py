"""Opens the engine of an installation."""

from __future__ import annotations

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.settings import Settings


def open_engine(settings: Settings) -> Engine:
    """The engine for these settings."""
    if settings.engine == "slurm":
        # Imported only where it is used: run workers start quickly.
        from winslow_dagster.engines.slurm.engine import SlurmEngine

        return SlurmEngine(settings)
    return LocalEngine(settings)
