"""Cancels attempts whose run is over, records their ends, removes orphans on nodes, and deletes abandoned uploads.

Every minute the attempts and orphans; once an hour the uploads. The runner of a cancelled attempt ends its container
and processes. Only this installation's tasks are touched: others on the same machine have task directories and labels
of their own.
"""

from __future__ import annotations

from contextlib import closing, suppress
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
from winslow_dagster.errors import EngineError, ProjectConflict
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageResult
from winslow_dagster.storage.directories import remove_directory, statuses_below
from winslow_dagster.storage.factory import open_store

INTERVAL_S = 60
STILL_ENDING = timedelta(minutes=1)
"""A run that ended more recently may still be ending its own stages."""
UPLOADS_INTERVAL = timedelta(hours=1)
ABANDONED_AFTER = timedelta(days=1)
"""An upload without progress for this long is abandoned."""


def cancel_orphaned_attempts(
    instance: DagsterInstance, records: ProjectRecords, engine: Engine, now: datetime
) -> tuple[str, ...]:
    """Cancel attempts whose run is over or does not exist, and remove orphans. Returns what was done, in words.

    A cancelled attempt is ended by its own runner, so that its log and its result are complete.
    """
    done = []
    for task in engine.unfinished():
        if not task.cancel_requested and (reason := why_over(instance, records, task.run_id, now)):
            engine.cancel(task.task_id, reason)
            done.append(f"cancelled {task.task_id}: {reason}")
    done += [f"removed a {orphan.kind} of {orphan.task_id}" for orphan in engine.remove_orphans()]
    return tuple(done)


def record_ends(records: ProjectRecords, engine: Engine, now: datetime) -> tuple[str, ...]:
    """Record how attempts ended whose run ended without recording it: a worker that could not, and was never replaced.

    Returns what was done, in words.
    """
    done = []
    for attempt in records.unrecorded_ends():
        state = engine.status(attempt.task_id)
        result = state.result
        if not state.known:
            message = "its run ended before it was submitted, or its directory on the node was removed"
            result = StageResult(
                task_id=attempt.task_id,
                outcome="lost",
                message=message,
                started_at=attempt.started_at,
                ended_at=now,
                node="",
            )
        if result is not None:
            with suppress(ProjectConflict):  # the run's own worker was faster
                records.attempt_ended(attempt.task_id, result)
                done.append(f"recorded the end of {attempt.task_id}: {result.outcome}")
    return tuple(done)


def why_over(instance: DagsterInstance, records: ProjectRecords, run_id: str, now: datetime) -> str:
    """Why nothing waits for the run's attempts any more; empty if something does.

    Dagster may have no record of a run at one look. It is over if our tables say so; a run that they do not know
    belongs to another installation that uses the same node directory.
    """
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        ours = records.run(run_id)
        return "its run no longer exists" if ours is not None and ours.ended_at is not None else ""
    if not record.dagster_run.is_finished or record.update_timestamp.replace(tzinfo=UTC) > now - STILL_ENDING:
        return ""
    return f"its run is over ({record.dagster_run.status.value.lower()})"


def delete_abandoned_uploads(settings: Settings, engine: Engine, now: datetime) -> tuple[str, ...]:
    """Delete what killed uploads, commits and deletions left behind. Returns what was done, in words."""
    done = []
    if uploads := open_store(settings.store_url, settings.s3_endpoint).sweep(now - ABANDONED_AFTER):
        done.append(f"deleted {uploads} abandoned uploads to the store")
    incoming = settings.home / "incoming"
    for path in sorted(incoming.iterdir()) if incoming.is_dir() else ():
        if last_changed(path) < now - ABANDONED_AFTER:
            try:
                remove_directory(path) if path.is_dir() else path.unlink()
                done.append(f"deleted the abandoned upload {path.name}")
            except OSError as error:
                done.append(f"cannot delete the abandoned upload {path.name}: {error}")
    try:
        # Forgets nothing, but finishes deletions that were interrupted.
        engine.tidy(datetime.min.replace(tzinfo=UTC), ())
    except EngineError as error:
        done.append(str(error))
    return tuple(done)


def last_changed(path: Path) -> datetime:
    """When anything in it last changed, by ctime: a copy may take over the modification times of its original."""
    below = statuses_below(path) if path.is_dir() else ()
    changed = max([path.lstat().st_ctime, *(status.st_ctime for _, status in below)])
    return datetime.fromtimestamp(changed, UTC)


def evaluate(context: SensorEvaluationContext) -> SkipReason:
    """One evaluation of the sensor. The cursor is the time at which uploads were last checked."""
    settings, now = Settings.read(), datetime.now(UTC)
    engine = open_engine(settings)
    with closing(ProjectRecords.open(settings.database_url)) as records:
        done = cancel_orphaned_attempts(context.instance, records, engine, now)
        done += record_ends(records, engine, now)
    if context.cursor is None or datetime.fromisoformat(context.cursor) <= now - UPLOADS_INTERVAL:
        done += delete_abandoned_uploads(settings, engine, now)
        context.update_cursor(now.isoformat())
    return SkipReason("; ".join(done) or "no orphans")


orphans_sensor = SensorDefinition(
    name="cancel_orphaned_attempts",
    evaluation_fn=evaluate,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Cancels attempts whose run is over, removes orphaned containers, and deletes abandoned uploads",
)
