"""A project with an input and an attempt, and the pipeline they belong to. For the tests of assets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.stages.task.model import CheckResult, LogSummary, StageResult, StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TWO = """
name: two
command: [sh, -c]
inputs:
  video: {kind: video, suffixes: [.mp4], description: The flight}
stages:
  - {name: first, args: ["true"]}
  - name: second
    args: ["true"]
    checks:
      - {kind: file, name: made, glob: a.csv}
      - {kind: csv, name: has_speed, glob: a.csv, columns: [speed], severity: warn, blocking: false}
"""
CHECKS = (
    CheckResult(name="made", passed=True, severity="error", blocking=True, message="", observed={"files": 1}),
    CheckResult(
        name="has_speed", passed=False, severity="warn", blocking=False, message="no column speed", file="a.csv"
    ),
)


def add_project(records: ProjectRecords, name: str, digest: str = "d" * 64) -> None:
    records.create_project(name, pipeline="two", pipeline_digest=digest, env={}, created_by="anna")


def add_video(records: ProjectRecords, project: str, content: str = "c") -> None:
    video = Manifest(
        address=f"projects/{project}/inputs/{content}",
        files=(FileEntry(path="flight.mp4", size_bytes=7, blake3=content),),
    )
    records.add_input(project, "video", video, original_path=f"/flights/{project}.mp4", added_by="anna")


def add_success(records: ProjectRecords, project: str, run_id: str, results: dict[str, str], minute: int = 1) -> str:
    """Of the stage `second`."""
    task = StageTask.model_validate(
        {
            "task_id": f"{run_id}.second.1",
            "project": project,
            "pipeline": "two",
            "stage": "second",
            "run_id": run_id,
            "output_address": "o",
            "log_address": "l",
            "store_url": "file:///store",
            "log_rules": {},
        }
    )
    records.attempt_started(task)
    ended = StageResult(
        task_id=task.task_id,
        outcome="succeeded",
        message="done",
        started_at=BEGIN,
        ended_at=BEGIN + timedelta(minutes=minute),
        node="here",
        outputs=Manifest(address=f"projects/{project}/{run_id}"),
        log=LogSummary(results=results),
        checks=CHECKS,
    )
    records.attempt_ended(task.task_id, ended)
    return task.task_id
