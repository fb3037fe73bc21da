"""Admits a run that was started in Dagit: creates its project, stores its inputs, and records the run.

A run that was started elsewhere has been checked before it was queued. The first stage of any other does it here, so
that a large input is copied by the run's own worker, where its progress is shown and it can be cancelled.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from dagster import OpExecutionContext

from winslow_dagster.errors import InputRejected, ProjectConflict, StageFailed
from winslow_dagster.formatting import format_size
from winslow_dagster.jobs.interruption import interruption_of
from winslow_dagster.jobs.tags import person_of
from winslow_dagster.projects.dagster_api.client import REQUESTER_TAG
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.quotas import Quotas
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.inputs.input_storage import InputStorage, source_name
from winslow_dagster.projects.inputs.permitted_paths import require_permitted
from winslow_dagster.projects.inputs.resource_pool import Pool, Source, sources
from winslow_dagster.projects.planning.stage_decision import StageCall, StageDecider
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.store import BytesMoved


class Admission:
    """One per run worker: its stages wait for the one that is admitting their run."""

    def __init__(self, settings: Settings, records: ProjectRecords, stage_decider: StageDecider) -> None:
        self._settings = settings
        self._records = records
        self._stage_decider = stage_decider
        self._quotas = Quotas(records.database, settings.quotas_file)
        self._lock = threading.Lock()

    def admit(self, context: OpExecutionContext, call: StageCall) -> None:
        """Admit the run, unless it is on record. May be called again after a crash.

        Raises NotFound, InputRejected, Forbidden, ProjectConflict, QuotaExceeded, StoreError, and StageFailed if the
        run is cancelled meanwhile.
        """
        with self._lock:
            if self._records.run(call.run_id) is None:
                # Another door records its run right after it has queued it, which may be after the first stage starts.
                if context.run.parent_run_id is not None or REQUESTER_TAG not in context.run.tags:
                    self._admit(context, call)
                self._stage_decider.record_unannounced_run(call, person_of(context.run.tags))

    def _admit(self, context: OpExecutionContext, call: StageCall) -> None:
        name, pipeline = call.request.project, call.pipeline
        person = person_of(context.run.tags)
        existing = self._records.find_project(name)
        current = existing.inputs if existing else {}
        store = open_store(self._settings.store_url, self._settings.s3_endpoint)
        wanted = call.request.inputs
        if context.run.parent_run_id is not None:
            # The run that this one re-executes brought them, and the project may have others since.
            wanted = {each: text for each, text in wanted.items() if each not in current}
        requested = _sources(Pool(self._records.database, store), wanted)
        require_permitted(person, self._settings, requested)
        inputs = InputStorage(self._records, store, self._settings.home, requested)
        inputs.check(pipeline, current)
        owner = person.who if existing is None else existing.owner
        self._quotas.require_room(name, owner, inputs.bytes_of(inputs.changed(current)))
        if existing is None:
            self._records.create_project(
                name,
                pipeline=pipeline.name,
                pipeline_digest=call.digest,
                env=dict(call.request.env),
                created_by=person.who,
            )
            context.log.info(f"created the project {name}")
        changed = inputs.changed(current)
        replaced = sorted(set(changed) & set(current))
        if replaced and call.scope.must_be_stored:
            raise ProjectConflict(
                f"the project has a different file as {', '.join(replaced)}",
                where=f"project {name}",
                expected="the same content as before",
                remedy="Leave out start_from, so that every stage runs with the new file",
            )

        def upload(input_name: str, size_bytes: int) -> BytesMoved:
            context.log.info(f"storing the input {input_name} ({format_size(size_bytes)})")
            return lambda _moved: _require_running(call.run_id)

        stored = inputs.put(name, pipeline, changed, upload)
        try:
            inputs.take_into_use(name, stored, person.who)
        finally:
            inputs.discard(stored)
        named = {each: source_name(source) for each, source in requested.items()}
        Audit(self._records.database).note(
            person, "run", name, run_id=call.run_id, pipeline=pipeline.name, inputs=named
        )


def _sources(pool: Pool, requested: Mapping[str, str]) -> dict[str, Source]:
    found = sources(pool, requested)
    for name, source in found.items():
        if isinstance(source, Path) and not source.is_absolute():
            raise InputRejected(
                f"{requested[name]!r} is not an absolute path",
                where=f"input {name}",
                expected="the absolute path of a file on the machine of the services, or pool:NAME",
            )
    return found


def _require_running(run_id: str) -> None:
    if interruption_of(run_id).is_set():
        raise StageFailed("the run was cancelled while its inputs were stored")
