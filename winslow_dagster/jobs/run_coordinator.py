"""The run queue: Dagster's, with limits that follow the machines, and with what people said about waiting runs.

Each run is tagged with its project when it is queued, and with the person who started it in Dagit. The services' daemon
asks `starting` for the runs that start. Plain `dagster dev` knows the limits only, and has no owners who take turns.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from dagster import DagsterRun, DagsterRunStatus, QueuedRunCoordinator, RunsFilter, SubmitRunContext

from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import EngineError
from winslow_dagster.jobs.run_queue import RunQueue
from winslow_dagster.jobs.tags import ENDED_BEFORE_A_STAGE, QUEUE, tags_of_person
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.database.queue_entries import QueueEntries, QueueEntry
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.queue_rules import (
    GPU_QUEUE,
    GPU_VENDOR_TAG,
    HELD,
    HELD_TAG,
    PRIORITY_TAG,
    QueueLimits,
)
from winslow_dagster.settings import Settings

logger = logging.getLogger(__name__)
SHORT = 8
"""Characters of a run id where Dagit shows it."""


@runtime_checkable
class PersonsRequest(Protocol):
    """Dagster's context of a request of a person; None for a request of the services themselves."""

    @property
    def person(self) -> Actor | None:
        """Who sends the request."""


class ProjectRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, and the tags that a run from Dagit lacks."""

    def get_run_queue_config(self) -> Any:
        """The limits of one pass over the queue. Dagster's daemon asks for them before each pass.

        What people said about waiting runs becomes tags first, so that the pass is made by them.
        """
        config = super().get_run_queue_config()
        self._tag_waiting_runs()
        limits = self._limits()
        gpu_runs = [{"key": QUEUE, "value": GPU_QUEUE, "limit": limits.gpu_runs}]
        gpu_runs += [
            {"key": GPU_VENDOR_TAG, "value": vendor, "limit": limits.of_vendor(vendor)} for vendor in limits.vendors
        ]
        return config._replace(
            max_concurrent_runs=limits.runs, tag_concurrency_limits=[*gpu_runs, *config.tag_concurrency_limits]
        )

    def starting(self) -> list[DagsterRun]:
        """The queued runs that start now, in their order."""
        return self._queue.starting(self._limits())

    def _limits(self) -> QueueLimits:
        """They follow the machines: some join, are drained, or lose a GPU."""
        try:
            takes_stages = self._engine.takes_stages()
            gpus = self._engine.usable_gpus() if takes_stages else ()
            found = QueueLimits.of(gpu.vendor for gpu in gpus) if takes_stages else QueueLimits(0, 0)
        except EngineError as error:
            # What is submitted while the machines cannot be asked waits for them.
            logger.warning("the limits of the queue stay as they are: %s", error)
            return self._last_limits
        self._last_limits = found
        return found

    @cached_property
    def _last_limits(self) -> QueueLimits:
        """Those of the machines when they last answered."""
        return QueueLimits.of(())

    def _tag_waiting_runs(self) -> None:
        entries = {entry.run_id: entry for entry in self._entries.open()}
        changed = [run_id for run_id, entry in entries.items() if self._tagged.get(run_id) != entry]
        if not changed:
            return
        waiting = RunsFilter(run_ids=changed, statuses=[DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED])
        for run in self._instance.get_runs(waiting):
            wanted = _tags(entries[run.run_id])
            if any(run.tags.get(key) != value for key, value in wanted.items()):
                self._instance.add_run_tags(run.run_id, wanted)
        self._tagged = entries

    @cached_property
    def _tagged(self) -> dict[str, QueueEntry]:
        """What was said when the runs were last tagged."""
        return {}

    @cached_property
    def _settings(self) -> Settings:
        return Settings.read()

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._settings)

    @cached_property
    def _database(self) -> Database:
        return ProjectRecords.open(self._settings.database_url).database

    @cached_property
    def _entries(self) -> QueueEntries:
        return QueueEntries(self._database)

    @cached_property
    def _queue(self) -> RunQueue:
        return RunQueue(self._instance, self._database, self._engine, self._settings.queue)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run, then queue it."""
        run = context.dagster_run
        tags: dict[str, str] = {}
        if isinstance(context.workspace, PersonsRequest) and context.workspace.person is not None:
            # They replace what the person may have written as tags of the same names.
            tags |= tags_of_person(context.workspace.person)
        project = run.run_config.get("project")
        if isinstance(project, str) and project:
            tags[PROJECT_TAG] = project
        if run.parent_run_id is not None:
            # Dagit copies the tags of the run that it re-executes, and no tag can be removed.
            tags |= {
                key: f"in run {run.parent_run_id[:SHORT]}" for key in ENDED_BEFORE_A_STAGE.values() if key in run.tags
            }
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)


def _tags(entry: QueueEntry) -> dict[str, str]:
    """A tag cannot be removed: a run that was released has another value."""
    priority = {} if entry.priority is None else {PRIORITY_TAG: str(entry.priority)}
    return {**priority, HELD_TAG: HELD if entry.held_at is not None else "no"}
