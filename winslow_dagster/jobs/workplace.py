"""What every stage op of a run worker works with, opened once a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.opening import open_engine
from winslow_dagster.projects.records import ProjectRecords
from winslow_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class Workplace:
    """The settings, the project tables and the engine."""

    settings: Settings
    records: ProjectRecords
    engine: Engine

    @classmethod
    def open(cls) -> Self:
        """By the WINSLOW_* settings of this process."""
        settings = Settings.read()
        return cls(settings, ProjectRecords.open(settings.database_url), open_engine(settings))
