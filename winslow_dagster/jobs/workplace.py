"""What every stage op of a run worker works with, opened once a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.opening import open_engine
from winslow_dagster.projects.records import ProjectRecords
from winslow_dagster.projects.stepping import Stepping
from winslow_dagster.settings import Settings
from winslow_dagster.stages import modes


@dataclass(frozen=True, slots=True)
class Workplace:
    """The settings, the project tables, the engine, and who decides what a stage does."""

    settings: Settings
    records: ProjectRecords
    engine: Engine
    stepping: Stepping

    @classmethod
    def open(cls) -> Self:
        """By the WINSLOW_* settings of this process."""
        settings = Settings.read()
        records = ProjectRecords.open(settings.database_url)
        return cls(settings, records, open_engine(settings), Stepping(records, settings, modes.image_digest))
