"""The state of a project, told from what happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from winslow_dagster.engines.engine import TaskState
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.projects.status.state import RunSnapshot, StageSnapshot, next_actions, project_state, stage_views
from winslow_dagster.projects.status.unfinished import unfinished
from winslow_dagster.stages.task.model import StageResult, StageStatus

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
PIPELINE = Pipeline(
    name="three",
    stages=(
        Stage(name="one", command=("true",)),
        Stage(name="two", command=("true",), after=("one",)),
        Stage(name="three", command=("true",), after=("two",)),
    ),
)


def attempt(stage: str, minute: int, outcome: Any = "succeeded", run_id: str = "run1") -> Attempt:
    ended_at = None if outcome is None else BEGIN + timedelta(minutes=minute, seconds=30)
    return Attempt(
        task_id=f"{run_id}.{stage}.1",
        project="ulm-07",
        pipeline="three",
        pipeline_digest="d",
        stage=stage,
        attempt=1,
        run_id=run_id,
        started_at=BEGIN + timedelta(minutes=minute),
        ended_at=ended_at,
        outcome=outcome,
        message="",
        node="here",
        mode="process",
        image_digest=None,
    )


def result_of(of: Attempt) -> StageResult | None:
    if of.outcome is None or of.ended_at is None:
        return None
    return StageResult(
        task_id=of.task_id,
        outcome=of.outcome,
        message=f"it was {of.outcome}",
        started_at=of.started_at,
        ended_at=of.ended_at,
        node="here",
    )


def run(outcome: Any = None, reason: str = "", run_id: str = "run1", sweep: str | None = None) -> RunRecord:
    ended_at = None if outcome is None else BEGIN + timedelta(hours=1)
    return RunRecord(
        run_id,
        "ulm-07",
        "three",
        "d",
        BEGIN,
        "anna",
        start_from="two" if sweep else None,
        sweep=sweep,
        ended_at=ended_at,
        outcome=outcome,
        outcome_reason=reason,
    )


def views(
    attempts: tuple[Attempt, ...], life: TaskState | None = None, *, active: bool = True
) -> list[tuple[str, str]]:
    results = {each.task_id: result_of(each) for each in attempts}
    snapshot = StageSnapshot(
        lineage=Lineage(PIPELINE, attempts),
        result_of=results.__getitem__,
        task_state_of=lambda _: life or TaskState(known=True),
    )
    return [(view.state, view.reason) for view in stage_views(snapshot, active=active)]


def told(*runs: RunRecord, running: tuple[str, ...] = (), unfinished: str = "", **seen: Any) -> tuple[str, str]:
    return project_state(RunSnapshot(runs, **seen), running, unfinished)


def status(word: str) -> dict[str, str]:
    return {"run1": word}


def test_a_project_that_never_ran_is_idle() -> None:
    assert told() == ("idle", "not run yet")
    assert views((), active=False) == [("pending", "has not run")] * 3


def test_a_queued_run_says_why_it_waits() -> None:
    behind = "waiting in the queue behind ulm-03"
    assert told(run(), statuses=status("QUEUED"), queue_reasons={"run1": behind}) == ("queued", behind)
    assert views(())[:2] == [("waiting", "about to start"), ("waiting", "waiting for one")]


@pytest.mark.parametrize(
    ("phase", "state", "reason"),
    [
        ("running", "running", ""),
        ("running", "running", "the Docker daemon has not responded since 2026-11-01 12:00:00 UTC"),
        ("storing", "running", "waiting for the store: the server does not respond"),
        ("waiting", "waiting", "waits for a GPU"),
    ],
)
def test_a_stage_that_has_not_ended_has_the_reason_of_its_runner(phase: Any, state: str, reason: str) -> None:
    status = StageStatus(task_id="run1.one.1", phase=phase, reason=reason, updated_at=BEGIN, started_at=BEGIN)
    task = TaskState(known=True, runner_alive=True, status=status)
    assert views((attempt("one", 1, None),), task)[0] == (state, reason)


@pytest.mark.parametrize(
    ("word", "state"), [("STARTED", "running"), ("STARTING", "queued"), ("CANCELING", "cancelling")]
)
def test_a_run_on_its_way_gives_the_project_its_state(word: str, state: str) -> None:
    assert told(run(), statuses=status(word))[0] == state


def test_a_run_that_was_asked_to_pause_says_what_it_waits_for() -> None:
    seen = told(run(), running=("two",), statuses=status("STARTED"), pause="anna requested a pause")
    assert seen == ("pausing", "anna requested a pause; two is still running")
    assert told(run(), statuses=status("CANCELING"), pause="anna")[0] == "cancelling"


@pytest.mark.parametrize("outcome", ["paused", "awaiting_input", "cancelled", "failed"])
def test_a_run_that_did_not_come_to_its_end_gives_the_project_its_state_and_reason(outcome: str) -> None:
    assert told(run(outcome, "because")) == (outcome, "because")


def test_a_run_that_waited_and_was_answered_is_paused() -> None:
    assert told(run("awaiting_input", "which?"), answered=True) == (
        "paused",
        "its question was settled; ready to resume",
    )


def test_a_run_that_ended_well_is_a_success_and_names_the_rest() -> None:
    assert told(run("succeeded")) == ("succeeded", "")
    rest = "two, three have not run yet"
    assert told(run("succeeded"), unfinished=rest) == ("succeeded", rest)


def test_stages_that_never_ran_that_failed_and_that_are_out_of_date_are_told_apart() -> None:
    def rest(*attempts: Attempt) -> str:
        return unfinished(Lineage(PIPELINE, attempts))

    one = replace(attempt("one", 1), output_address="a")
    two = replace(attempt("two", 2), inputs={"one": "a"}, output_address="b")
    again = replace(attempt("one", 3, run_id="run2"), output_address="c")
    three = attempt("three", 4, "failed", run_id="run2")
    assert rest(one) == "two, three have not run yet"
    assert rest(one, two) == "three has not run yet"
    assert rest(one, two, again) == "two is out of date; three has not run yet"
    assert rest(one, two, again, three) == "two is out of date; three has not succeeded"
    assert rest(one, two, replace(attempt("three", 4), inputs={"two": "b"})) == ""


def test_without_services_the_stages_tell() -> None:
    assert told(run(), running=("one",))[0] == "running"
    assert told(run()) == ("interrupted", "the services are not running")
    assert told(run("succeeded"))[0] == "succeeded"


def test_a_sweep_runs_until_its_last_run_has_ended_and_then_asks_for_one() -> None:
    runs = [run("succeeded", run_id="run0", sweep="s"), run(run_id="run1", sweep="s")]
    assert told(*runs, statuses=status("STARTED")) == ("running", "1 of 2 combinations have ended")
    assert told(*runs, statuses=status("QUEUED"))[0] == "queued"
    assert told(*runs)[0] == "interrupted"
    runs[1] = run("failed", "two: exit 1", run_id="run1", sweep="s")
    assert told(*runs) == ("awaiting_input", "pick one of 1 attempts of two; 1 of 2 combinations did not succeed")
    assert told(*runs, picked=True)[0] == "paused"
    assert told(runs[1]) == ("failed", "no combination succeeded; two: exit 1")


def test_what_can_be_done_next_fits_the_state() -> None:
    assert next_actions("running", sweep=False, left=True) == ("pause", "cancel")
    assert next_actions("awaiting_input", sweep=False, left=True) == ("answer", "redo")
    assert next_actions("awaiting_input", sweep=True, left=True) == ("pick", "redo")
    assert next_actions("succeeded", sweep=False, left=True)[0] == "resume"
    assert "resume" not in next_actions("succeeded", sweep=False, left=False)
    assert next_actions("cancelling", sweep=False, left=True) == ()
    assert next_actions("pausing", sweep=False, left=True) == ("resume", "cancel")
    # A stage was held back for the pause already: to lift it now would change nothing.
    assert next_actions("pausing", sweep=False, left=True, held=True) == ("cancel",)


def test_a_stage_knows_how_many_attempts_it_had_and_which_is_in_use() -> None:
    attempts = (attempt("one", 1), attempt("one", 5, "failed", run_id="run2"))
    snapshot = StageSnapshot(
        Lineage(PIPELINE, attempts),
        {each.task_id: result_of(each) for each in attempts}.__getitem__,
        lambda _: TaskState(known=False),
    )
    one = stage_views(snapshot, active=False)[0]
    assert (one.state, one.attempts, one.in_use) == ("failed", 2, "run1.one.1")
    assert one.outdated == "its last attempt did not succeed"
