"""The engine is told in which order stages get their GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.jobs.gpu_order import GpuOrder
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.status.queue_sharing import read_sharing
from winslow_dagster.settings import QueueSettings
from winslow_dagster.stages.task.model import Phase, StageStatus, StageTask

NOW = datetime.now(UTC)


class Place:
    """Projects with stages on an engine."""

    def __init__(self, home: Path) -> None:
        self.records = ProjectRecords.open(f"sqlite:///{home / 'winslow.db'}")
        self.engine = InMemoryEngine()
        self.order = GpuOrder(self.records.database, self.engine)

    def stage(self, project: str, owner: str, phase: Phase, gpus: int = 1) -> str:
        """A stage in this phase, of a run of its own."""
        if project not in self.records.names([project]):
            self.records.create_project(project, pipeline="p", pipeline_digest="0" * 64, env={}, created_by=owner)
        run_id = f"run-{project}-{len(self.engine.tasks)}"
        self.records.record_run(RunRecord(run_id, project, "p", "0" * 64, NOW, owner))
        task = StageTask(
            task_id=f"{run_id}.detect.1",
            project=project,
            pipeline="p",
            stage="detect",
            run_id=run_id,
            output_address=f"projects/{project}/{run_id}",
            log_address=f"projects/{project}/{run_id}-log",
            store_url="memory://",
            log_rules=LogRules(),
            gpu=Gpu(count=gpus) if gpus else None,
        )
        self.records.attempt_started(task)
        self.engine.submit(task)
        held = tuple(f"GPU-{n}" for n in range(gpus)) if phase == "running" else ()
        self.engine.report(
            StageStatus(task_id=task.task_id, phase=phase, updated_at=NOW, started_at=NOW if held else None, gpus=held)
        )
        return task.task_id

    def update(self) -> list[str]:
        """The waiting stages in the order that the engine was told."""
        settings = QueueSettings()
        self.order.update(read_sharing(self.records.database, settings, self.engine.status, datetime.now(UTC)))
        return sorted(self.engine.priorities, key=lambda task: -self.engine.priorities[task])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.records.close()


def test_the_stage_of_an_owner_with_fewer_gpus_goes_first(place: Place) -> None:
    place.stage("video-1", "anna", "running")
    waiting = place.stage("video-2", "anna", "waiting")
    place.stage("video-3", "anna", "running", gpus=0)
    late = place.stage("ulm", "bert", "waiting")

    assert place.update() == [late, waiting]


def test_a_priority_that_changes_while_a_stage_waits_moves_it(place: Place) -> None:
    first, second = (place.stage(name, "anna", "waiting") for name in ("video-1", "video-2"))
    assert place.update() == [first, second]

    QueueEntries(place.records.database).set_priority("video-2", [second.partition(".")[0]], 1)

    assert place.update() == [second, first]
