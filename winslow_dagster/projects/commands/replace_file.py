"""Outputs that a person edited: those of an attempt, with one file replaced."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines import Pipeline, nearest
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest, replaced


@dataclass(frozen=True, slots=True)
class Replacement:
    """A local file that replaces the output `path` of a stage of a pipeline."""

    pipeline: Pipeline
    stage: str
    path: str
    file: Path
    reason: str = ""


def replace_file(context: Context, project: str, replacement: Replacement) -> Attempt:
    """A new attempt of the stage: its current outputs, with the file in place of `path`.

    The caller has made sure that no run is in progress. Raises InputRejected for a file that cannot be read, NotFound
    for a path that the outputs do not have, ProjectConflict if the stage has no outputs or gets others meanwhile.
    """
    stage, path, file = replacement.stage, replacement.path, replacement.file
    current, outputs = _current(context, project, replacement)
    _require_file(current, outputs, path, file)
    run_id = f"hand-{uuid4().hex}"
    task_id = f"{run_id}.{stage}.1"
    began = context.clock()
    stored = context.store.put_file(file, f"projects/{project}/{stage}/{task_id}/by_hand")
    try:
        # The file is stored without the lock: it may be large.
        with context.project_lock(project, "replacing a file"):
            task = _unchanged_task(context, project, replacement, current)
            who, reason = context.actor.who, replacement.reason
            result = StageResult(
                task_id=task_id,
                outcome="succeeded",
                message=f"{who} replaced {path} with {file.name}{f': {reason}' if reason else ''}",
                started_at=began,
                ended_at=context.clock(),
                node=platform.node(),
                outputs=replaced(outputs, path, stored),
            )
            by_hand = task.model_copy(update={"task_id": task_id, "run_id": run_id, "attempt": 1})
            context.records.attempt_by_hand(by_hand, result, current)
    except BaseException:
        context.store.delete_tree(stored.address)
        raise
    return context.records.attempt(task_id)


def _current(context: Context, project: str, replacement: Replacement) -> tuple[Attempt, Manifest]:
    stage = replacement.stage
    current = lineage_of(context.records, project, replacement.pipeline).current.get(stage)
    if current is None:
        raise ProjectConflict(f"{stage} has no outputs in which to replace a file", where=f"project {project}")
    return current, context.records.manifests([current.task_id])[current.task_id]


def _unchanged_task(context: Context, project: str, replacement: Replacement, current: Attempt) -> StageTask:
    """The task of the stage's current attempt. Raises ProjectConflict if that is another one by now."""
    task = context.records.task(current.task_id)
    if task is None or _current(context, project, replacement)[0].task_id != current.task_id:
        raise ProjectConflict(f"{current.stage} has different outputs by now", where=f"project {project}")
    return task


def _require_file(current: Attempt, outputs: Manifest, path: str, file: Path) -> None:
    if not file.is_file():
        raise InputRejected("no such file", where=str(file))
    paths = [entry.path for entry in outputs.files]
    if path not in paths:
        meant = nearest(path, paths)
        raise NotFound(
            f"{current.stage} has no output file {path!r}",
            where=f"project {current.project}",
            remedy=f"Did you mean {meant}?" if meant else Action("list_files", {"project": current.project}),
        )
