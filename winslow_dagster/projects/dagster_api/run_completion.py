"""How runs ended: an outcome and a reason, from Dagster's status and what happened in the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.dagster_api.reasons import run_failure
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import Attempt, RunOutcome, RunRecord

FORGOTTEN = "Dagster has no record of the run any more"
MISSING_FOR = timedelta(minutes=1)
"""A run is over once Dagster has had no record of it for this long. A single look proves nothing."""
UNRECORDED = "UNRECORDED"
"""The status of an open run that Dagster has no record of."""


class SeenRun(Protocol):
    """A run as Dagster reports it."""

    @property
    def status(self) -> str:
        """Dagster's status, such as SUCCESS."""

    @property
    def ended(self) -> bool:
        """Whether the status is final."""

    @property
    def ended_at(self) -> datetime | None:
        """None until it has ended."""


def reconcile_runs(
    records: ProjectRecords, dagster: DagsterClient | None, project: str | None = None
) -> tuple[RunRecord, ...]:
    """Record the ends of open runs, of one project or all, before deciding anything about them. Returns the new ones.

    Without a `dagster` to ask, nothing changes.
    """
    unsettled = unsettled_runs(records, project)
    if dagster is None or not unsettled:
        return ()
    seen = dagster.runs_by_id(run.run_id for run in unsettled)
    return record_run_ends(records, unsettled, seen.get, partial(run_failure, dagster))


def unsettled_runs(records: ProjectRecords, project: str | None = None) -> tuple[RunRecord, ...]:
    """The runs to ask Dagster about: those that are open, and those whose end was only concluded."""
    return (*records.open_runs(project), *records.concluded_runs(project))


def statuses_of(open_runs: Iterable[RunRecord], seen: Callable[[str], SeenRun | None]) -> dict[str, str]:
    """Run id -> Dagster's status, or UNRECORDED."""
    found = ((run.run_id, seen(run.run_id)) for run in open_runs)
    return {run_id: UNRECORDED if run is None else run.status for run_id, run in found}


def record_run_ends(
    records: ProjectRecords,
    unsettled: Iterable[RunRecord],
    seen: Callable[[str], SeenRun | None],
    why_failed: Callable[[str], str],
) -> tuple[RunRecord, ...]:
    """Record the ends of those runs that have ended. Returns those that nobody had recorded before.

    Records also since when Dagster has had no record of a run, and takes an end back that was concluded from that if
    Dagster has one after all.
    """
    recorded = []
    open_runs = [run for run in (_looked_for(records, run, seen(run.run_id)) for run in unsettled) if not run.ended_at]
    for run in ended_runs(records, open_runs, seen, why_failed).values():
        found = seen(run.run_id)
        ended_at = (found.ended_at if found else None) or datetime.now(UTC)
        if run.outcome and records.record_run_end(run.run_id, run.outcome, run.outcome_reason, ended_at):
            recorded.append(replace(run, ended_at=ended_at))
    return tuple(recorded)


def _looked_for(records: ProjectRecords, run: RunRecord, found: SeenRun | None) -> RunRecord:
    """The run, after recording whether Dagster has a record of it."""
    if found is None and run.missing_since is None:
        since = datetime.now(UTC)
        records.record_run_missing(run.run_id, since)
        return replace(run, missing_since=since)
    if found is not None and run.missing_since is not None:
        records.record_run_found(run.run_id)
        return replace(run, missing_since=None, ended_at=None, outcome=None, outcome_reason="")
    return run


def ended_runs(
    records: ProjectRecords,
    open_runs: Iterable[RunRecord],
    seen: Callable[[str], SeenRun | None],
    why_failed: Callable[[str], str],
) -> dict[str, RunRecord]:
    """Those open runs that have ended according to Dagster, by id, with their ends filled in. Writes nothing.

    A run whose end Dagster does not know has ended when it last showed a sign of life, however often one looks.
    """
    ended = {}
    for run in open_runs:
        found = seen(run.run_id)
        if found is None and (run.missing_since is None or datetime.now(UTC) - run.missing_since < MISSING_FOR):
            continue
        if found is not None and not found.ended:
            continue
        attempts = [each for each in records.attempts(run.project) if each.run_id == run.run_id]
        if any(each.outcome is None for each in attempts) and found is not None and found.status == "SUCCESS":
            continue  # the end of its last attempt has yet to be recorded
        holds = Holds(records.database).holds([run.run_id])
        failure = why_failed(run.run_id) if found is not None and found.status == "FAILURE" else ""
        outcome, reason = end_of(found.status if found else None, attempts, holds, failure)
        signs = (run.launched_at, *(each.ended_at or each.started_at for each in attempts))
        ended_at = (found.ended_at if found else None) or max(signs)
        ended[run.run_id] = replace(run, outcome=outcome, outcome_reason=reason, ended_at=ended_at)
    return ended


def end_of(
    status: str | None, attempts: Sequence[Attempt], holds: Sequence[Hold], failure: str = ""
) -> tuple[RunOutcome, str]:
    """The outcome and its reason. `status` is Dagster's, None for an unknown run; `failure` is its failure message."""
    if status == "CANCELED":
        return "cancelled", _unsuccessful(attempts) or "the run was cancelled"
    if status == "FAILURE" or (status is None and not holds):
        return "failed", _unsuccessful(attempts) or failure or (FORGOTTEN if status is None else "the run failed")
    for cause in ("input", "check", "paused"):
        held = [hold for hold in holds if hold.cause == cause]
        if held:
            return ("awaiting_input" if cause == "input" else "paused"), _held(held)
    return "succeeded", ""


def _unsuccessful(attempts: Iterable[Attempt]) -> str:
    """The stage that went wrong first, and how; only the last attempt of each stage counts."""
    latest = {attempt.stage: attempt for attempt in attempts}
    wrong = [each for each in latest.values() if each.outcome not in {None, "succeeded", "awaiting_input"}]
    # A stage that was cancelled because another failed says less than the one that failed.
    wrong.sort(key=lambda each: (each.outcome == "cancelled", each.ended_at or each.started_at))
    return f"{wrong[0].stage}: {wrong[0].message}" if wrong else ""


def _held(holds: Sequence[Hold]) -> str:
    stages = " and ".join(hold.stage for hold in holds)
    return f"before {stages}: {holds[0].message}"
