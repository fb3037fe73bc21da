"""Chooses the queued runs that start now, by the rule of `projects/domain/queue_rules.py`.

A pass reads the ids of runs, which costs milliseconds with ten thousand of them. What a run needs is read once: it is
in its tags, which do not change. What people said about it is in our tables, and is read in each pass.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from winslow_dagster.engines.engine import Engine
from winslow_dagster.jobs.gpu_order import GpuOrder
from winslow_dagster.jobs.run_tags import tags_of_runs
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits, places_of, starting
from winslow_dagster.projects.status.queue_sharing import Sharing, read_sharing
from winslow_dagster.settings import QueueSettings

WAITING = (DagsterRunStatus.QUEUED,)
IN_PROGRESS = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
SHARES_KEPT_S = 10.0
"""Who used how much in 24 hours changes slowly, and is read from all attempts of that time."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A run as its tags say."""

    item: QueueItem
    project: str | None


class RunQueue:
    """The queue of one instance. Used by the daemon's thread alone."""

    def __init__(self, instance: DagsterInstance, database: Database, engine: Engine, settings: QueueSettings) -> None:
        self._instance = instance
        self._database = database
        self._entries = QueueEntries(database)
        self._engine = engine
        self._settings = settings
        self._known: dict[str, _Known] = {}
        self._order = GpuOrder(database, engine)
        self._sharing = Sharing()
        self._sharing_read_s = -SHARES_KEPT_S
        self._nothing_starts: object = None
        """In this state, as it was at the last pass: whoever is first, nobody can start."""

    def starting(self, limits: QueueLimits) -> list[DagsterRun]:
        """The runs that start now, in their order."""
        waiting, active = self._ids(WAITING), self._ids(IN_PROGRESS)
        sharing = self._read_sharing()
        if active:
            self._order.update(sharing)
        if not waiting or len(active) >= limits.runs:
            return []
        entries = {entry.run_id: entry for entry in self._entries.open()}
        state = (waiting, active, entries, limits)
        if state == self._nothing_starts:
            return []
        self._read({*waiting, *active})

        def item(run_id: str) -> QueueItem:
            known, entry = self._known[run_id], entries.get(run_id)
            return (known.item if entry is None else entry.applied_to(known.item)).of(sharing.sharer(known.project))

        places = places_of(limits, map(item, active), sharing.shares)
        found = starting([item(run_id) for run_id in waiting], places)
        self._nothing_starts = None if found else state
        return self._runs([each.run_id for each in found])

    def _ids(self, statuses: Sequence[DagsterRunStatus]) -> list[str]:
        """The ids of runs, in the order in which they were queued."""
        return list(reversed(self._instance.get_run_ids(RunsFilter(statuses=list(statuses)))))

    def _read(self, run_ids: set[str]) -> None:
        known: Mapping[str, _Known] = {run_id: each for run_id, each in self._known.items() if run_id in run_ids}
        read = tags_of_runs(self._instance, run_ids - known.keys())
        self._known = {
            **known,
            **{run_id: _Known(QueueItem.of_tags(run_id, tags), tags.get(PROJECT_TAG)) for run_id, tags in read.items()},
        }

    def _runs(self, run_ids: Sequence[str]) -> list[DagsterRun]:
        if not run_ids:
            return []
        found = {run.run_id: run for run in self._instance.get_runs(RunsFilter(run_ids=list(run_ids)))}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def _read_sharing(self) -> Sharing:
        if time.monotonic() - self._sharing_read_s >= SHARES_KEPT_S:
            self._sharing = read_sharing(self._database, self._settings, self._engine.status, datetime.now(UTC))
            self._sharing_read_s = time.monotonic()
        return self._sharing
