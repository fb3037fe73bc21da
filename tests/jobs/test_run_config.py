"""Which stages a run request runs, hands on, or leaves out."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.run_request import RunRequest, RunScope


def diamond() -> Pipeline:
    """a -> (b, c) -> d -> e"""
    after = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d",)}
    return Pipeline(name="diamond", stages=tuple(Stage(name=n, image="x", after=a) for n, a in after.items()))


def scope(**request: str) -> RunScope:
    return RunScope(diamond(), RunRequest(project="p", **request))


def test_without_bounds_every_stage_runs() -> None:
    assert scope().wanted == scope().redone == frozenset("abcde")
    assert scope().must_be_stored == frozenset()


def test_start_from_runs_the_stage_and_what_follows_it() -> None:
    assert scope(start_from="b").redone == frozenset("bde")


def test_start_from_needs_the_stored_outputs_of_what_comes_before_and_not_of_the_branch_beside() -> None:
    assert scope(start_from="b").must_be_stored == frozenset("a")
    assert scope(start_from="d").must_be_stored == frozenset("abc")


def test_stop_after_leaves_out_what_follows_and_the_branches_it_does_not_need() -> None:
    assert scope(stop_after="b").wanted == frozenset("ab")


def test_start_and_stop_at_one_stage_run_only_that_stage() -> None:
    assert scope(start_from="d", stop_after="d").redone == frozenset("d")


def test_an_unknown_field_of_the_run_config_is_refused() -> None:
    with pytest.raises(ValidationError, match="start_form"):
        RunRequest.model_validate({"project": "p", "start_form": "b"})
