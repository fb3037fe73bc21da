"""How a run ended, in a word and a sentence, from what Dagster says of it and what happened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.runs_and_attempts import ProjectRecords
from winslow_dagster.projects.domain.model import Attempt, RunOutcome, RunRecord

FORGOTTEN = "Dagster has no record of the run any more"


def end_of(
    status: str | None, attempts: Sequence[Attempt], holds: Sequence[Hold], said: str = ""
) -> tuple[RunOutcome, str]:
    """What it came to. `status` is Dagster's word, None where it has none; `said` its reason for a failure."""
    if status == "CANCELED":
        return "cancelled", _unsuccessful(attempts) or "the run was cancelled"
    if status == "FAILURE" or (status is None and not holds):
        return "failed", _unsuccessful(attempts) or said or (FORGOTTEN if status is None else "the run failed")
    for cause in ("input", "check", "paused"):
        held = [hold for hold in holds if hold.cause == cause]
        if held:
            return ("awaiting_input" if cause == "input" else "paused"), _held(held)
    return "succeeded", ""


def _unsuccessful(attempts: Iterable[Attempt]) -> str:
    """The stage that went wrong first, and how; the last attempt of a stage speaks for it."""
    latest = {attempt.stage: attempt for attempt in attempts}
    wrong = [each for each in latest.values() if each.outcome not in {None, "succeeded", "awaiting_input"}]
    # A stage that was ended because another failed says less than the one that failed.
    wrong.sort(key=lambda each: (each.outcome == "cancelled", each.ended_at or each.started_at))
    return f"{wrong[0].stage}: {wrong[0].message}" if wrong else ""


def _held(holds: Sequence[Hold]) -> str:
    stages = " and ".join(hold.stage for hold in holds)
    return f"before {stages}: {holds[0].message}"


class SeenRun(Protocol):
    """What Dagster says of a run."""

    @property
    def status(self) -> str:
        """Its word, such as SUCCESS."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""

    @property
    def ended_at(self) -> datetime | None:
        """When; None while it has not."""


def record_run_ends(
    records: ProjectRecords,
    open_runs: Iterable[RunRecord],
    seen: Callable[[str], SeenRun | None],
    why_failed: Callable[[str], str],
) -> tuple[RunRecord, ...]:
    """Note the ends of those open runs that Dagster says are over. Gives those that were news."""
    news = []
    for run in open_runs:
        found = seen(run.run_id)
        if found is not None and not found.ended:
            continue
        attempts = [each for each in records.attempts(run.project) if each.run_id == run.run_id]
        if any(each.outcome is None for each in attempts) and found is not None and found.status == "SUCCESS":
            continue  # its last word is on its way into the tables
        holds = Holds(records.database).holds([run.run_id])
        said = why_failed(run.run_id) if found is not None and found.status == "FAILURE" else ""
        outcome, reason = end_of(found.status if found else None, attempts, holds, said)
        ended_at = (found.ended_at if found else None) or datetime.now(UTC)
        if records.record_run_end(run.run_id, outcome, reason, ended_at):
            news.append(run)
    return tuple(news)
