"""Waits in a run worker for a store that is away, and says so in the run's record, which the project's status shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dagster import Failure

from winslow_dagster.jobs.interruption import interruption_of
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.storage.outage import retried

Result = TypeVar("Result")


def wait_for_store(
    call: Callable[[], Result], records: ProjectRecords, run_id: str, log: Callable[[str], None]
) -> Result:
    """The result of `call`, which is repeated while the store is away. Raises Failure if the run is cancelled."""
    waits_for: str | None = None

    def announce(reason: str) -> None:
        nonlocal waits_for
        if interruption_of(run_id).is_set():
            raise Failure(f"the run was cancelled; it was {reason}", allow_retries=False)
        if reason != waits_for:
            log(reason)
            records.record_run_waits(run_id, reason)
            waits_for = reason

    try:
        return retried(call, announce)
    finally:
        if waits_for is not None:
            records.record_run_waits(run_id, None)
