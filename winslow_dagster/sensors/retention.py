"""Applies the retention rules once a day, removes deleted projects, and deletes runs that nobody needs from Dagster.

A tick may take a minute: the work of a day is split into ticks of some seconds each, until nothing is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
)

from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import EngineError, StoreError
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.database.change_feed import CHANGES_KEPT, ChangeFeed
from winslow_dagster.projects.database.deletions import Deletions
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.inputs.resource_pool import Pool
from winslow_dagster.projects.retention.cleanup import Cleanup
from winslow_dagster.projects.retention.inventory import load_histories
from winslow_dagster.projects.retention.purge import Purge
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

TICK_EVERY_S = 600
TICK_S = 25.0
PAGE = 200
BEFORE_ALL = "-"
"""Sorts before every project's name."""
ENDED = frozenset({DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED})
NOT_ENDED = [status for status in DagsterRunStatus if status not in ENDED]

Stop = Callable[[], bool]


def needed_runs(records: ProjectRecords, settings: Settings) -> frozenset[str]:
    """Return the runs to keep at any age.

    These are each project's latest run, runs that have not ended, and runs that produced a stage's current outputs.
    """
    latest = records.latest_runs()
    unfinished = {run.run_id for run in records.open_runs()}
    current = {
        stored.attempt.run_id
        for history in load_histories(records, settings, None)
        for stored in history.attempts
        if stored.attempt.task_id in history.current
    }
    return frozenset(latest | unfinished | current)


def prune_runs(
    instance: DagsterInstance, needed: frozenset[str], ended_before: datetime, stop: Stop = lambda: False
) -> tuple[str, ...]:
    """Delete runs that ended before then, with their events, from Dagster, and return their ids.

    Our own tables keep them. A run and its re-executions form a family, because Dagster reads a parent's events to
    re-execute its child: all of it stays if one of them is needed, is newer, or has not ended.
    """
    kept_families = {
        family(record)
        for wanted in (
            RunsFilter(updated_after=ended_before),
            RunsFilter(statuses=NOT_ENDED),
            *(RunsFilter(run_ids=list(some)) for some in _in_parts(sorted(needed), PAGE)),
        )
        for record in instance.get_run_records(wanted)
    }
    pruned: list[str] = []
    cursor = None
    while page := instance.get_run_records(
        RunsFilter(updated_before=ended_before), limit=PAGE, cursor=cursor, ascending=True
    ):
        for record in page:
            if stop():
                return tuple(pruned)
            run_id = record.dagster_run.run_id
            if family(record) in kept_families:
                cursor = run_id  # the next page begins after a run that still exists
            else:
                instance.delete_run(run_id)
                pruned.append(run_id)
        if len(page) < PAGE:
            break
    return tuple(pruned)


def forget_runs(instance: DagsterInstance, project: str) -> None:
    """Delete all runs of a project from Dagster, with their events."""
    while found := instance.get_run_records(RunsFilter(tags={PROJECT_TAG: project}), limit=PAGE):
        for record in found:
            instance.delete_run(record.dagster_run.run_id)


def family(record: RunRecord) -> str:
    """Return the first run of a chain of re-executions, by its field: the tag of that name is not always set."""
    return record.dagster_run.root_run_id or record.dagster_run.run_id


def _in_parts(run_ids: list[str], size: int) -> Iterator[list[str]]:
    """Split the ids, because databases limit the number of parameters in a query."""
    for first in range(0, len(run_ids), size):
        yield run_ids[first : first + size]


def purge_files(pool: Pool, now: datetime, deleted_before: datetime, failures: list[str]) -> int:
    """Remove deleted files of the pool that no project has. Returns the bytes freed; what fails goes to `failures`."""
    freed_bytes = 0
    for file in pool.rows.deleted():
        try:
            freed_bytes += pool.purge(file["id"], now, deleted_before=deleted_before) or 0
        except StoreError as error:
            failures.append(str(error))
    return freed_bytes


def apply_retention(context: SensorEvaluationContext) -> SkipReason:
    """Do a part of the day's work. The cursor is the day once it is done; until then, day and last project."""
    now = datetime.now(UTC)
    today = now.date().isoformat()
    day, _, after = (context.cursor or "").partition(" ")
    if day == today and not after:
        return SkipReason("done for today")
    last = after if day == today else BEFORE_ALL
    until_s = time.monotonic() + TICK_S

    def stop() -> bool:
        return time.monotonic() > until_s

    settings = Settings.read()
    freed_bytes = 0
    failures: list[str] = []
    pruned: tuple[str, ...] = ()
    with closing(ProjectRecords.open(settings.database_url)) as records:
        store = open_store(settings.store_url, settings.s3_endpoint)
        cleanup = Cleanup(records, store, settings, open_engine(settings), "retention sensor")
        purge = Purge(records, cleanup, partial(forget_runs, context.instance), "retention sensor")
        deleted = frozenset(each.project for each in Deletions(records.database).all())
        deleted_before = now - timedelta(days=settings.trash_days)
        for name in sorted(
            each for each in deleted.union(project.name for project in records.projects()) if each > last
        ):
            if stop():
                break
            try:
                if name not in deleted:
                    freed_bytes += cleanup.carry_out(cleanup.plan(name, now=now), stop)
                elif purge.begin(name, deleted_before=deleted_before):
                    freed_bytes += purge.carry_out(name, stop).freed_bytes
            except (StoreError, EngineError) as error:  # The next day tries again; the other projects come first.
                failures.append(str(error))
            last = name
        if not stop():
            freed_bytes += purge_files(Pool(records.database, store), now, deleted_before, failures)
            ChangeFeed(records.database).prune(now - CHANGES_KEPT)
            ended_before = now - timedelta(days=settings.run_retention_days)
            pruned = prune_runs(context.instance, needed_runs(records, settings), ended_before, stop)
    context.update_cursor(f"{today} {last}" if stop() else today)
    done = f"freed {format_size(freed_bytes)}, and deleted {len(pruned)} runs from Dagster"
    return SkipReason("; ".join([done, *dict.fromkeys(failures)]))


retention_sensor = SensorDefinition(
    name="apply_retention",
    evaluation_fn=apply_retention,
    minimum_interval_seconds=TICK_EVERY_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Once a day, deletes what the retention rules remove, what was deleted long ago, and runs nobody needs",
)
