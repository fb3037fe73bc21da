"""What messages are about: where a person goes on, and that a run which is followed by another is not forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from winslow_dagster.errors import FilterInvalid
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.model import RunOutcome, RunRecord
from winslow_dagster.projects.status.occurrences import SUPERSEDED_FOR, occurrences, selected_by
from winslow_dagster.projects.status.project_list import summaries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def records(database_url: str) -> Iterator[ProjectRecords]:
    with closing(ProjectRecords.open(database_url)) as records:
        records.create_project("ulm", pipeline="traffic", pipeline_digest="d", env={}, created_by="anna")
        Annotations(records.database).set_tags("ulm", ["summer"])
        yield records


def run(records: ProjectRecords, name: str, outcome: RunOutcome | None, minutes_ago: float) -> None:
    at = NOW - timedelta(minutes=minutes_ago)
    records.record_run(RunRecord(name, "ulm", "traffic", "d", at - timedelta(minutes=1), "anna"))
    if outcome is not None:
        records.record_run_end(name, outcome, "why", at)


def found(records: ProjectRecords) -> list[tuple[str | None, str, str]]:
    happened = occurrences(records.database, summaries(records, {}), NOW)
    return [(each.project.run_id, each.project.state, each.path) for each in happened]


def test_the_end_of_a_run_is_not_forgotten_when_another_begins_at_once(records: ProjectRecords) -> None:
    run(records, "long-ago", "failed", SUPERSEDED_FOR / timedelta(minutes=1) + 1)
    run(records, "first", "failed", 20)
    run(records, "second", "succeeded", 10)
    run(records, "third", None, 5)
    latest, *before = found(records)
    assert latest[0] == "third"
    assert sorted(before) == [
        ("first", "failed", "/projects/ulm"),
        ("second", "succeeded", "/projects/ulm"),
    ]


def test_a_question_that_another_run_has_followed_is_not_asked_again(records: ProjectRecords) -> None:
    run(records, "asked", "awaiting_input", 20)
    run(records, "then", "succeeded", 10)
    assert found(records) == [("then", "succeeded", "/projects/ulm")]


def test_each_open_question_has_the_path_of_its_page(records: ProjectRecords) -> None:
    run(records, "asked", None, 20)
    for stage in ("calibrate", "count lines"):
        Holds(records.database).hold(Hold("asked", stage, "ulm", "input", "Where?", NOW, []))
    records.record_run_end("asked", "awaiting_input", "", NOW)
    assert [path for *_, path in found(records)] == [
        "/projects/ulm/questions/calibrate",
        "/projects/ulm/questions/count%20lines",
    ]


def test_a_filter_line_selects_as_in_the_list_of_projects(records: ProjectRecords) -> None:
    def selected(line: str) -> bool:
        return bool(selected_by(records.database, line, ["ulm"]))

    assert selected("tag:summer owner:anna pipeline:traffic ul")
    assert not any(map(selected, ("tag:winter", "owner:bruno", "-tag:summer", "bonn")))
    assert selected_by(records.database, "", ["bonn"]) == frozenset()
    with pytest.raises(FilterInvalid):
        selected("tga:summer")
