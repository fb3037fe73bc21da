"""Which outputs stages have now, and which no longer fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.lineage import ANSWER, Lineage, Pick, in_order, upstream_of
from winslow_dagster.projects.domain.model import Attempt

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
DIAMOND = Pipeline(
    name="diamond",
    stages=(
        Stage(name="a"),
        Stage(name="b", after=("a",)),
        Stage(name="c", after=("a",)),
        Stage(name="d", after=("b", "c")),
    ),
)


def made(stage: str, minute: int, *, run: str = "run1", outcome: Any = "succeeded", **inputs: str) -> Attempt:
    task_id = f"{run}.{stage}.1"
    return Attempt(
        task_id=task_id,
        project="ulm-07",
        pipeline="diamond",
        pipeline_digest="d",
        stage=stage,
        attempt=1,
        run_id=run,
        started_at=BEGIN + timedelta(minutes=minute),
        ended_at=None if outcome is None else BEGIN + timedelta(minutes=minute, seconds=30),
        outcome=outcome,
        message="",
        node="here",
        mode="process",
        image_digest=None,
        inputs={upstream: f"{of}.{upstream}.1" for upstream, of in inputs.items()},
        output_address=task_id if outcome == "succeeded" else None,
    )


def picked(stage: str, task_id: str, minute: int) -> Pick:
    return Pick("ulm-07", "diamond", stage, task_id, BEGIN + timedelta(minutes=minute), "anna")


WHOLE = (
    made("a", 1),
    made("b", 2, a="run1"),
    made("c", 3, a="run1"),
    made("d", 4, b="run1", c="run1"),
)


def test_a_whole_run_leaves_nothing_to_do() -> None:
    lineage = Lineage(DIAMOND, WHOLE)
    assert lineage.outdated == {}
    assert lineage.to_run == ()


def test_what_is_missing_is_to_run_in_order() -> None:
    assert Lineage(DIAMOND, ()).to_run == ("a", "b", "c", "d")
    assert Lineage(DIAMOND, WHOLE[:2]).to_run == ("c", "d")


def test_a_stage_that_ran_again_makes_both_branches_out_of_date() -> None:
    lineage = Lineage(DIAMOND, (*WHOLE, made("a", 9, run="run2")))
    assert lineage.outdated == {
        "b": "a has other outputs now",
        "c": "a has other outputs now",
        "d": "b is out of date",
    }
    assert lineage.to_run == ("b", "c", "d")


def test_a_stage_that_runs_again_makes_what_follows_out_of_date_at_once() -> None:
    assert Lineage(DIAMOND, (*WHOLE, made("b", 9, run="run2", outcome=None, a="run1"))).outdated == {
        "d": "b is running again"
    }


def test_a_stage_whose_last_attempt_failed_is_to_run_though_earlier_outputs_are_there() -> None:
    lineage = Lineage(DIAMOND, (*WHOLE, made("b", 9, run="run2", outcome="failed", a="run1")))
    assert lineage.current["b"].run_id == "run1"
    assert lineage.to_run == ("b", "d")


def test_picking_the_earlier_attempt_brings_back_what_was_made_of_it() -> None:
    attempts = (*WHOLE, made("b", 9, run="run2", a="run1"))
    assert Lineage(DIAMOND, attempts).to_run == ("d",)
    assert Lineage(DIAMOND, attempts, (picked("b", "run1.b.1", 10),)).to_run == ()
    assert Lineage(DIAMOND, attempts, (picked("b", "run1.b.1", 8),)).to_run == ("d",)


def test_picking_after_a_failure_settles_it() -> None:
    attempts = (*WHOLE, made("b", 9, run="run2", outcome="failed", a="run1"))
    assert Lineage(DIAMOND, attempts, (picked("b", "run1.b.1", 10),)).to_run == ()


def test_the_attempts_of_a_sweep_count_once_they_were_picked() -> None:
    attempts = (*WHOLE, made("b", 9, run="s1", a="run1"), made("b", 9, run="s2", outcome="failed", a="run1"))
    assert Lineage(DIAMOND, attempts, (), {"s1", "s2"}).to_run == ()
    chosen = Lineage(DIAMOND, attempts, (picked("b", "s1.b.1", 12),), {"s1", "s2"})
    assert chosen.current["b"].task_id == "s1.b.1"
    assert chosen.to_run == ("d",)


def test_outputs_that_were_removed_are_missing() -> None:
    gone = replace(WHOLE[1], outputs_removed_at=BEGIN + timedelta(days=9))
    assert Lineage(DIAMOND, (WHOLE[0], gone, *WHOLE[2:])).to_run == ("b",)


def test_a_newer_answer_makes_its_stage_out_of_date() -> None:
    read = replace(WHOLE[1], inputs={**WHOLE[1].inputs, ANSWER: "answers/1"})
    attempts = (WHOLE[0], read, *WHOLE[2:])
    assert Lineage(DIAMOND, attempts, answers={"b": "answers/1"}).to_run == ()
    assert Lineage(DIAMOND, attempts, answers={"b": "answers/2"}).to_run == ("b", "d")


def test_what_a_stage_needs_is_found_through_all_others() -> None:
    assert upstream_of(DIAMOND, "d") == {"a", "b", "c"}
    assert upstream_of(DIAMOND, "a") == frozenset()


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["succeeded", "failed", "cancelled", None])), max_size=20
    )
)
def test_running_what_is_to_run_leaves_nothing_to_run(history: list[tuple[str, Any]]) -> None:
    attempts = [made(stage, minute, run=f"run{minute}", outcome=how) for minute, (stage, how) in enumerate(history)]
    attempts = [each for each in attempts if each.outcome is not None]
    for minute, stage in enumerate(Lineage(DIAMOND, tuple(attempts)).to_run, start=50):
        now = Lineage(DIAMOND, tuple(attempts)).current
        new = made(stage, minute, run=f"run{minute}")
        worked_on = {up: now[up].output_address or "" for up in DIAMOND.stage(stage).after}
        attempts.append(replace(new, inputs=worked_on))
    assert Lineage(DIAMOND, tuple(attempts)).to_run == ()


def test_the_order_of_stages_is_one_in_which_they_can_run() -> None:
    shuffled = Pipeline(name="diamond", stages=DIAMOND.stages[::-1])
    names = [stage.name for stage in in_order(shuffled)]
    assert all(names.index(up) < names.index(stage.name) for stage in DIAMOND.stages for up in stage.after)
