"""What the stage ops of a run worker share, opened once per worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.jobs.admission import Admission
from winslow_dagster.jobs.run_display import RunDisplay
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.planning.stage_decision import StageDecider
from winslow_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """The settings, the project tables, the engine, the decisions about the run and its stages, and its tags."""

    settings: Settings
    records: ProjectRecords
    engine: Engine
    stage_decider: StageDecider
    admission: Admission
    run_display: RunDisplay

    @classmethod
    def open(cls) -> Self:
        """With the WINSLOW_* settings of this process."""
        settings = Settings.read()
        records = ProjectRecords.open(settings.database_url)
        engine = open_engine(settings)
        decider = StageDecider(records, settings, engine.image_digest)
        return cls(settings, records, engine, decider, Admission(settings, records, decider), RunDisplay(records))
