"""An installation with projects that have attempts, outputs and logs, without any service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from winslow_dagster.engines.factory import open_engine
from winslow_dagster.pipelines import keep_version
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.retention.cleanup import Cleanup
from winslow_dagster.projects.retention.service import RetentionService
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.layout import MANIFEST_SUFFIX, MANIFESTS
from winslow_dagster.storage.local import LocalStore

PIPELINE = """
name: traffic
stages:
  - name: detect
    command: ["true"]
    highlights: [preview.png]
    retention: [{glob: "**", attempts: 1}, {what: failed, days: 0}]
"""
FILES = {"vehicles.csv": b"id\n1\n", "frames/1.jpg": b"j" * 100, "preview.png": b"p" * 10}


@dataclass
class House:
    """An installation with one project and its attempts."""

    settings: Settings
    records: ProjectRecords
    store: LocalStore
    digest: str
    now: datetime

    @property
    def cleanup(self) -> Cleanup:
        return Cleanup(self.records, self.store, self.settings, open_engine(self.settings))

    def retention(self, who: str) -> RetentionService:
        engine = open_engine(self.settings)
        return RetentionService(self.records, self.store, self.settings, engine, Actor(who))

    def task(self, run: int, project: str) -> StageTask:
        task_id = f"run{run}.detect.1"
        address = f"projects/{project}/detect/{task_id}"
        return StageTask(
            task_id=task_id,
            project=project,
            pipeline="traffic",
            stage="detect",
            attempt=1,
            run_id=f"run{run}",
            output_address=f"{address}/output",
            log_address=f"{address}/log",
            store_url=self.settings.store_url,
            log_rules=LogRules(),
        )

    def run(self, run: int, *, succeeds: bool = True, ends: bool = True, project: str = "ulm-07") -> StageTask:
        """A run of one stage, which began so many hours after the house was built."""
        at = self.now - timedelta(days=10) + timedelta(hours=run)
        task = self.task(run, project)
        self.records.record_run(RunRecord(task.run_id, project, "traffic", self.digest, at, "anna"))
        self.records.attempt_started(task, pipeline_digest=self.digest)
        if not ends:
            return task
        directory = TaskDirectory.of(self.settings.node.tasks_dir, task.task_id)
        directory.write_task(task)
        directory.output.mkdir()
        for path, content in FILES.items():
            (directory.output / path).parent.mkdir(exist_ok=True)
            (directory.output / path).write_bytes(content)
        directory.log.mkdir()
        (directory.log / "log").write_bytes(b"line\n")
        copied = self.settings.home / "log"
        copied.mkdir()
        (copied / "log").write_bytes(b"line\n")
        result = StageResult(
            task_id=task.task_id,
            outcome="succeeded" if succeeds else "failed",
            message="",
            started_at=at,
            ended_at=at + timedelta(minutes=1),
            node="n",
            outputs=self.store.commit_tree(directory.output, task.output_address) if succeeds else None,
            log_manifest=self.store.commit_tree(copied, task.log_address),
        )
        directory.write_outcome(result)
        directory.finalize()
        self.records.attempt_ended(task.task_id, result)
        self.records.record_run_end(task.run_id, "succeeded" if succeeds else "failed", "", result.ended_at)
        return task

    def reuse(self, run: int, of: str, project: str) -> StageTask:
        """A run of one stage that took over the outputs of another attempt."""
        task = self.task(run, project)
        at = self.now - timedelta(days=10) + timedelta(hours=run)
        self.records.record_run(RunRecord(task.run_id, project, "traffic", self.digest, at, "anna"))
        self.records.attempt_started(task, pipeline_digest=self.digest, reused_from=of)
        result = StageResult(
            task_id=task.task_id,
            outcome="succeeded",
            message="",
            started_at=at,
            ended_at=at + timedelta(minutes=1),
            node="n",
            outputs=self.records.manifests([of])[of],
        )
        self.records.attempt_ended(task.task_id, result)
        self.records.record_run_end(task.run_id, "succeeded", "", result.ended_at)
        return task

    def readable(self, project: str) -> bool:
        """Whether every file of every attempt that still has its outputs is in the store."""
        manifests = self.records.manifests(each.task_id for each in self.records.attempts(project) if each.usable)
        return all(
            len(self.store.read_range(manifest, entry, 0, entry.size_bytes)) == entry.size_bytes
            for manifest in manifests.values()
            for entry in manifest.files
        )

    def trees(self) -> list[str]:
        markers = self.store.root / MANIFESTS
        return sorted(
            path.relative_to(markers).as_posix().removesuffix(MANIFEST_SUFFIX) for path in markers.rglob("*.json")
        )

    def agrees(self) -> bool:
        """Whether the store has exactly what the tables say: no more, no less."""
        recorded = set()
        for attempt in self.records.attempts("ulm-07"):
            result = self.records.result(attempt.task_id)
            outputs, log = (result.outputs, result.log_manifest) if result is not None else (None, None)
            recorded |= {
                (each.address, entry.path) for each in (outputs, log) if each is not None for entry in each.files
            }
        stored = {
            (address, entry.path)
            for address in self.trees()
            for manifest in (self.store.manifest(address),)
            if manifest is not None
            for entry in manifest.files
            if self.store.read_range(manifest, entry, 0, entry.size_bytes) is not None
        }
        with self.records.database.reading() as connection:
            rows = connection.execute(select(schema.removals)).mappings().all()
        assert all(row["done_at"] is not None for row in rows)
        whole = {row["address"] for row in rows if row["paths"] is None}
        partly = {(row["address"], path) for row in rows for path in row["paths"] or ()}
        return stored == {place for place in recorded if place[0] not in whole} - partly


def built(tmp_path: Path, database_url: str) -> Iterator[House]:
    """The installation, with the projects ulm-07 and ulm-08."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "traffic.yaml").write_text(PIPELINE)
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_DATABASE_URL": database_url,
            "WINSLOW_PIPELINES_DIR": str(tmp_path / "pipelines"),
        }
    )
    settings.home.mkdir()
    digest = keep_version(tmp_path / "pipelines" / "traffic.yaml", settings.versions_dir)
    records = ProjectRecords.open(database_url)
    for project in ("ulm-07", "ulm-08"):
        records.create_project(project, pipeline="traffic", pipeline_digest=digest, env={}, created_by="anna")
    yield House(settings, records, open_store(settings.store_url), digest, datetime.now(UTC))
    records.close()
