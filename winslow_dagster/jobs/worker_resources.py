"""What every stage op of a run worker works with, opened once a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.planning.stage_decision import StageDecider
from winslow_dagster.settings import Settings
from winslow_dagster.stages.runner import runtime_selection


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """The settings, the project tables, the engine, and who decides what a stage does."""

    settings: Settings
    records: ProjectRecords
    engine: Engine
    stage_decider: StageDecider

    @classmethod
    def open(cls) -> Self:
        """By the WINSLOW_* settings of this process."""
        settings = Settings.read()
        records = ProjectRecords.open(settings.database_url)
        return cls(
            settings, records, open_engine(settings), StageDecider(records, settings, runtime_selection.image_digest)
        )
