"""When a run counts as over: by Dagster's word, and never because Dagster had no record of it at one look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from winslow_dagster.projects.dagster_api.run_completion import (
    FORGOTTEN,
    MISSING_FOR,
    UNRECORDED,
    ended_runs,
    record_run_ends,
    statuses_of,
    unsettled_runs,
)
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.status.project_list import summaries

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    status: str
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.ended_at is not None


@pytest.fixture
def look(records: ProjectRecords) -> Callable[..., list[tuple[str | None, str]]]:
    """Look at the project's run once; returns outcome and reason of the ends that were news."""
    records.create_project("ulm", pipeline="traffic", pipeline_digest="d", env={}, created_by="anna")
    records.record_run(RunRecord("run1", "ulm", "traffic", "d", BEGIN, "anna"))

    def once(found: Seen | None) -> list[tuple[str | None, str]]:
        news = record_run_ends(records, unsettled_runs(records), lambda _: found, lambda _: "the disk burnt")
        return [(run.outcome, run.outcome_reason) for run in news]

    return once


def recorded(records: ProjectRecords) -> tuple[str | None, str]:
    run = records.run("run1")
    assert run is not None
    return run.outcome, run.outcome_reason


def let_time_pass(records: ProjectRecords) -> None:
    """As if the run had been missing for long enough."""
    records.record_run_found("run1")
    records.record_run_missing("run1", datetime.now(UTC) - MISSING_FOR - timedelta(seconds=1))


def test_one_look_without_a_record_ends_nothing_and_is_shown_as_what_it_is(
    records: ProjectRecords, look: Callable[..., object]
) -> None:
    assert look(None) == []
    assert look(None) == []
    assert recorded(records) == (None, "")
    open_runs = records.open_runs()
    assert ended_runs(records, open_runs, lambda _: None, str) == {}
    statuses = statuses_of(open_runs, lambda _: None)
    assert statuses == {"run1": UNRECORDED}
    (ulm,) = summaries(records, statuses)
    assert (ulm.state, ulm.reason) == ("interrupted", "Dagster has no record of the run")


def test_a_run_that_stays_without_a_record_has_failed(records: ProjectRecords, look: Callable[..., object]) -> None:
    look(None)
    let_time_pass(records)
    assert look(None) == [("failed", FORGOTTEN)]
    assert look(None) == []
    assert recorded(records) == ("failed", FORGOTTEN)


def test_a_record_that_turns_up_in_time_starts_the_wait_anew(
    records: ProjectRecords, look: Callable[..., object]
) -> None:
    look(None)
    let_time_pass(records)
    assert look(Seen("STARTED")) == []
    assert look(None) == []
    assert recorded(records) == (None, "")


@pytest.mark.parametrize(
    ("found", "corrected"),
    [
        (Seen("STARTED"), (None, "")),
        (Seen("SUCCESS", BEGIN + timedelta(hours=1)), ("succeeded", "")),
        (Seen("FAILURE", BEGIN + timedelta(hours=1)), ("failed", "the disk burnt")),
    ],
)
def test_an_end_that_was_only_concluded_is_corrected_by_a_record(
    records: ProjectRecords, look: Callable[..., object], found: Seen, corrected: tuple[str | None, str]
) -> None:
    look(None)
    let_time_pass(records)
    look(None)
    look(found)
    assert recorded(records) == corrected
    assert look(found) == []


def test_an_end_by_dagster_s_word_stays_when_dagster_forgets_the_run(
    records: ProjectRecords, look: Callable[..., object]
) -> None:
    look(Seen("SUCCESS", BEGIN + timedelta(hours=1)))
    assert look(None) == []
    assert recorded(records) == ("succeeded", "")
