"""The state of a project, told from what happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from winslow_dagster.engines.engine import TaskState
from winslow_dagster.pipelines.model import Pipeline, Stage
from winslow_dagster.projects.dagit import DagsterRun
from winslow_dagster.projects.state import Sight, first_to_run, outdated_stages, project_state, stage_views
from winslow_dagster.projects.values import Attempt
from winslow_dagster.stages.task import StageResult, StageStatus

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


def run(status: Any, run_id: str = "run1") -> DagsterRun:
    return DagsterRun(
        run_id=run_id, job="three", status=status, project="ulm-07", created_at=BEGIN, started_at=None, ended_at=None
    )


def told(
    attempts: tuple[Attempt, ...], of: DagsterRun | None, life: TaskState | None = None, **why: str
) -> tuple[str, str, list[tuple[str, str]]]:
    results = {each.task_id: result_of(each) for each in attempts}
    sight = Sight(
        pipeline=PIPELINE,
        attempts=attempts,
        result_of=results.__getitem__,
        life_of=lambda _: life or TaskState(known=True),
        why_waiting=lambda _: "waits for a GPU",
    )
    views = stage_views(sight, of)
    return *project_state(views, of, why), [(view.state, view.reason) for view in views]


DONE = (attempt("one", 1), attempt("two", 2), attempt("three", 3))


def test_a_project_that_never_ran_is_idle() -> None:
    state, reason, stages = told((), None)
    assert (state, reason) == ("idle", "it has not been run yet")
    assert stages == [("pending", "has not run")] * 3


def test_a_queued_run_says_why_it_waits() -> None:
    state, reason, stages = told((), run("QUEUED"), queued="waits in the queue, behind ulm-03")
    assert (state, reason) == ("queued", "waits in the queue, behind ulm-03")
    assert stages[:2] == [("waiting", "is about to start"), ("waiting", "waits for one")]


def test_a_running_stage_needs_no_reason_and_a_waiting_one_has_its_engine_s() -> None:
    status = StageStatus(task_id="run1.one.1", phase="running", updated_at=BEGIN, started_at=BEGIN)
    alive = TaskState(known=True, runner_alive=True, status=status)
    assert told((attempt("one", 1, None),), run("STARTED"), alive)[2][0] == ("running", "")
    waiting = alive.model_copy(update={"status": status.model_copy(update={"phase": "waiting"})})
    assert told((attempt("one", 1, None),), run("STARTED"), waiting)[2][0] == ("waiting", "waits for a GPU")


@pytest.mark.parametrize(
    ("status", "state"), [("STARTED", "running"), ("STARTING", "queued"), ("CANCELING", "cancelling")]
)
def test_a_run_on_its_way_gives_the_project_its_state(status: str, state: str) -> None:
    assert told((), run(status))[0] == state


def test_a_run_that_ended_well_is_a_success() -> None:
    assert told(DONE, run("SUCCESS"))[:2] == ("succeeded", "")


def test_after_a_stop_the_rest_is_named() -> None:
    assert told(DONE[:1], run("SUCCESS"))[:2] == ("succeeded", "two, three have yet to run")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("failed", "failed"),
        ("out_of_memory", "failed"),
        ("timed_out", "failed"),
        ("lost", "failed"),
        ("cancelled", "cancelled"),
        ("await_input", "awaiting_input"),
    ],
)
def test_a_stage_that_did_not_succeed_tells_why_the_run_ended(outcome: str, state: str) -> None:
    ended = (DONE[0], attempt("two", 2, outcome))
    assert told(ended, run("FAILURE"))[:2] == (state, f"two: it was {outcome}")
    assert told(ended, None)[:2] == (state, f"two: it was {outcome}")


def test_a_run_that_failed_without_a_stage_has_dagster_s_reason() -> None:
    assert told((), run("FAILURE"), failed="the worker could not start")[:2] == ("failed", "the worker could not start")


def test_a_cancelled_run_is_cancelled_before_and_after_its_stages_began() -> None:
    assert told((), run("CANCELED"))[:2] == ("cancelled", "the run was cancelled")
    assert told((attempt("one", 1, "cancelled"),), run("CANCELED"))[:2] == ("cancelled", "one: it was cancelled")


def test_a_failure_of_an_earlier_run_does_not_taint_a_later_one() -> None:
    earlier = attempt("three", 3, "failed", run_id="run0")
    assert told((*DONE[:2], earlier), run("SUCCESS"))[0] == "succeeded"


def test_without_services_the_stages_tell() -> None:
    status = StageStatus(task_id="run1.one.1", phase="running", updated_at=BEGIN)
    alive = TaskState(known=True, runner_alive=True, status=status)
    assert told((attempt("one", 1, None),), None, alive, unknown="no services")[:2] == ("running", "no services")
    assert told((attempt("one", 1, None),), None, unknown="no services")[:2] == ("interrupted", "no services")
    assert told((), None, unknown="no services")[:2] == ("interrupted", "no services")
    assert told(DONE, None, unknown="no services")[0] == "succeeded"


def test_outputs_are_out_of_date_once_an_earlier_stage_has_run_again() -> None:
    again = attempt("one", 5, run_id="run2")
    assert outdated_stages(PIPELINE, (*DONE, again)) == {
        "two": "one has run again since",
        "three": "two is out of date",
    }
    assert outdated_stages(PIPELINE, (*DONE, replace(again, outcome=None)))["two"] == "one runs again since"
    assert outdated_stages(PIPELINE, (*DONE, attempt("one", 5, "failed", run_id="run2"))) == {}


def test_a_project_goes_on_with_what_is_missing_or_out_of_date() -> None:
    assert first_to_run(PIPELINE, ()) == "one"
    assert first_to_run(PIPELINE, DONE[:1]) == "two"
    assert first_to_run(PIPELINE, (DONE[0], attempt("two", 2, "failed"))) == "two"
    assert first_to_run(PIPELINE, (*DONE, attempt("one", 5, run_id="run2"))) == "two"
    assert first_to_run(PIPELINE, DONE) is None
