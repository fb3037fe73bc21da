"""Opens the engine of an installation."""

from __future__ import annotations

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.settings import Settings


def open_engine(settings: Settings) -> Engine:
    """The engine for these settings."""
    return LocalEngine(settings)
