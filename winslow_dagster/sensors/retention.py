"""Keeps house once a day: what the rules let go, and the events of runs that nobody needs any more.

An evaluation may take a minute; a long day's work is done in several, each for some seconds, until nothing is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

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
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.database.change_feed import CHANGES_KEPT, ChangeFeed
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.retention.cleanup import Cleanup
from winslow_dagster.projects.retention.inventory import histories
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

LOOK_EVERY_S = 600
AT_ONCE_S = 25.0
PAGE = 200
BEFORE_ALL = "-"
"""Sorts before every project's name."""
ENDED = frozenset({DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED})
NOT_ENDED = [status for status in DagsterRunStatus if status not in ENDED]

Stop = Callable[[], bool]


def needed_runs(records: ProjectRecords, settings: Settings) -> frozenset[str]:
    """The runs whose events stay however old they are: each project's latest, those that have not ended, and those that
    made what a stage has now, which is what a person would go on from.
    """
    latest = {project.latest_run for project in records.projects() if project.latest_run is not None}
    unfinished = {run.run_id for run in records.open_runs()}
    made = {
        made.attempt.run_id
        for history in histories(records, settings, None)
        for made in history.made
        if made.attempt.task_id in history.current
    }
    return frozenset(latest | unfinished | made)


def prune_runs(
    instance: DagsterInstance, needed: frozenset[str], ended_before: datetime, stop: Stop = lambda: False
) -> tuple[str, ...]:
    """Delete runs that ended before then, with their events, from Dagster; gives their ids. Our own tables keep theirs.

    A run and its re-executions are one family, and Dagster reads a parent's events to re-execute its child: they go
    together, and stay together where one of them is needed, is younger, or has not ended.
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
                cursor = run_id  # the next page begins after one that is still there
            else:
                instance.delete_run(run_id)
                pruned.append(run_id)
        if len(page) < PAGE:
            break
    return tuple(pruned)


def family(record: RunRecord) -> str:
    """The first run of a chain of re-executions. By its field: the tag of that name is not always set."""
    return record.dagster_run.root_run_id or record.dagster_run.run_id


def _in_parts(run_ids: list[str], size: int) -> Iterator[list[str]]:
    """So many at a time: a database takes only so many parameters in a query."""
    for first in range(0, len(run_ids), size):
        yield run_ids[first : first + size]


def keep_house(context: SensorEvaluationContext) -> SkipReason:
    """One part of a day's work. The cursor is the day, once it is done; before that, also the project it got to."""
    now = datetime.now(UTC)
    today = now.date().isoformat()
    day, _, after = (context.cursor or "").partition(" ")
    if day == today and not after:
        return SkipReason("done for today")
    got_to = after if day == today else BEFORE_ALL
    until_s = time.monotonic() + AT_ONCE_S

    def stop() -> bool:
        return time.monotonic() > until_s

    settings = Settings.read()
    freed_bytes = 0
    pruned: tuple[str, ...] = ()
    with closing(ProjectRecords.open(settings.database_url)) as records:
        store = open_store(settings.store_url, settings.s3_endpoint)
        cleanup = Cleanup(records, store, settings, open_engine(settings))
        for name in sorted(project.name for project in records.projects() if project.name > got_to):
            if stop():
                break
            freed_bytes += cleanup.carry_out(cleanup.plan(name, now=now), stop)
            got_to = name
        if not stop():
            ChangeFeed(records.database).prune(now - CHANGES_KEPT)
            ended_before = now - timedelta(days=settings.keep_runs_days)
            pruned = prune_runs(context.instance, needed_runs(records, settings), ended_before, stop)
    context.update_cursor(f"{today} {got_to}" if stop() else today)
    return SkipReason(f"freed {format_size(freed_bytes)}, and forgot the events of {len(pruned)} runs")


housekeeping_sensor = SensorDefinition(
    name="keep_house",
    evaluation_fn=keep_house,
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Deletes what retention rules let go, and the events of old runs that nobody needs; once a day",
)
