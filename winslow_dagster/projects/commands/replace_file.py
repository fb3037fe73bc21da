"""Outputs that a person made: those of an attempt, with one file replaced."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines import nearest
from winslow_dagster.projects.database.runs_and_attempts import ProjectRecords
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.stages.task.model import StageResult
from winslow_dagster.storage.manifest import replaced
from winslow_dagster.storage.store import Store


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file on this machine that takes the place of `path` in a stage's outputs; by whom, and why."""

    path: str
    file: Path
    by: str
    reason: str = ""


def replace_file(records: ProjectRecords, store: Store, current: Attempt, asked: Replacement) -> Attempt:
    """A new attempt of the stage: the outputs of `current` with the file in its place.

    Raises InputRejected for a file that cannot be read, NotFound for a path that the outputs do not have.
    """
    if not asked.file.is_file():
        raise InputRejected("there is no such file", where=str(asked.file))
    outputs = records.manifests([current.task_id])[current.task_id]
    paths = [entry.path for entry in outputs.files]
    if asked.path not in paths:
        meant = nearest(asked.path, paths)
        raise NotFound(
            f"{current.stage} made no file {asked.path!r}",
            where=f"project {current.project}",
            remedy=f"Did you mean {meant}?" if meant else Action("list_files", {"project": current.project}),
        )
    task = records.task(current.task_id)
    if task is None:
        raise ProjectConflict("the attempt is gone", where=current.task_id)
    run_id = f"hand-{uuid4().hex}"
    task_id = f"{run_id}.{current.stage}.1"
    stored = store.put_file(asked.file, f"projects/{current.project}/{current.stage}/{task_id}/by_hand")
    began = datetime.now(UTC)
    reason = f": {asked.reason}" if asked.reason else ""
    result = StageResult(
        task_id=task_id,
        outcome="succeeded",
        message=f"{asked.by} put {asked.file.name} in the place of {asked.path}{reason}",
        started_at=began,
        ended_at=datetime.now(UTC),
        node=platform.node(),
        outputs=replaced(outputs, asked.path, stored),
    )
    by_hand = task.model_copy(update={"task_id": task_id, "run_id": run_id, "attempt": 1})
    records.attempt_by_hand(by_hand, result, current)
    return next(each for each in records.attempts(current.project) if each.task_id == task_id)
