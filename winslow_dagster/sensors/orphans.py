"""Ends what nobody waits for any more: attempts whose run is over, strays on this node, and uploads left half done.

Each minute the attempts, whose runners see to the end of their containers and processes; the rest once an hour. Only
this installation's home is looked at: others on the same machine have task directories and labels of their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
)

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.storage.factory import open_store

EVERY_S = 60
SETTLED_AFTER = timedelta(minutes=1)
"""A run that ended more recently may still be ending its own stages."""
SCRAPS_EVERY = timedelta(hours=1)
SCRAPS_AFTER = timedelta(days=1)
"""An upload that did not move for so long is not going on."""


def end_orphans(settings: Settings, instance: DagsterInstance, engine: Engine, now: datetime) -> tuple[str, ...]:
    """End attempts whose run is over or is not there, and strays of attempts that are over. Says what it did.

    An attempt is ended by its own runner, so that its log and its result are as those of any that was cancelled.
    """
    from winslow_dagster.stages.orphans import kill_orphaned_processes, remove_orphaned_containers

    did = []
    for directory in unfinished(settings.tasks_dir):
        task = directory.task()
        if task is None or directory.cancel_reason() is not None:
            continue
        if why := why_over(instance, task.run_id, now):
            engine.cancel(task.task_id, why)
            did.append(f"ends {task.task_id}: {why}")

    def over(task_id: str) -> bool:
        path = settings.tasks_dir / task_id
        return not path.exists() or (path / "result.json").exists()

    tasks_dir = settings.tasks_dir
    did += [f"removed a container of {task_id}" for task_id in remove_orphaned_containers(tasks_dir, over)]
    did += [f"ended a process of {task_id}" for task_id in kill_orphaned_processes(tasks_dir, over)]
    return tuple(did)


def unfinished(tasks_dir: Path) -> Iterator[TaskDirectory]:
    """The attempts on this node that have no result."""
    for path in sorted(tasks_dir.iterdir()) if tasks_dir.is_dir() else ():
        if not path.name.startswith(".") and not (path / "result.json").exists():
            yield TaskDirectory(path)


def why_over(instance: DagsterInstance, run_id: str, now: datetime) -> str:
    """Why nobody waits for the run's attempts; empty where somebody does."""
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return "its run does not exist any more"
    if not record.dagster_run.is_finished or record.update_timestamp.replace(tzinfo=UTC) > now - SETTLED_AFTER:
        return ""
    return f"its run is over ({record.dagster_run.status.value.lower()})"


def clear_scraps(settings: Settings, engine: Engine, now: datetime) -> tuple[str, ...]:
    """Delete what uploads, commits and deletions that were killed left behind. Says what it did."""
    did = []
    if uploads := open_store(settings.store_url, settings.s3_endpoint).sweep(now - SCRAPS_AFTER):
        did.append(f"ended {uploads} half uploads to the store")
    incoming = settings.home / "incoming"
    for path in sorted(incoming.iterdir()) if incoming.is_dir() else ():
        if last_touched(path) < now - SCRAPS_AFTER:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            did.append(f"deleted the half upload {path.name}")
    engine.tidy(datetime.min.replace(tzinfo=UTC), ())
    return tuple(did)


def last_touched(path: Path) -> datetime:
    """When anything in it last changed, by the kernel's word: a copy may bring the times of its original along."""
    changed = max(each.lstat().st_ctime for each in (path, *path.rglob("*")))
    return datetime.fromtimestamp(changed, UTC)


def look_for_orphans(context: SensorEvaluationContext) -> SkipReason:
    """One look. The cursor is when scraps were last cleared away."""
    settings, now = Settings.read(), datetime.now(UTC)
    engine = open_engine(settings)
    did = end_orphans(settings, context.instance, engine, now)
    if context.cursor is None or datetime.fromisoformat(context.cursor) <= now - SCRAPS_EVERY:
        did += clear_scraps(settings, engine, now)
        context.update_cursor(now.isoformat())
    return SkipReason("; ".join(did) or "there are no orphans")


orphans_sensor = SensorDefinition(
    name="end_orphans",
    evaluation_fn=look_for_orphans,
    minimum_interval_seconds=EVERY_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Ends containers, processes and uploads that nobody waits for any more",
)
