"""Makes of an error's JSON the error that the server raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from winslow_dagster import errors
from winslow_dagster.actions import TEXTS, Action
from winslow_dagster.errors import AnswerRejected, PipelineInvalid, WinslowError
from winslow_dagster.pipelines import Problem

KINDS: dict[str, type[WinslowError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, WinslowError)
}


def error_of(problem: Mapping[str, Any]) -> WinslowError:
    """The error, with its class and all its fields. An error of a newer server is a WinslowError."""
    kind = KINDS.get(problem["error"], WinslowError)
    error = kind.__new__(kind)
    for name in kind.more:
        setattr(error, name, problem.get(name))
    if isinstance(error, PipelineInvalid):
        error.problems = tuple(Problem(**each) for each in problem.get("problems", ()))
    if isinstance(error, AnswerRejected):
        error.faults = tuple((each["field"], each["message"]) for each in problem.get("faults", ()))
    # Not the class's own: it words the sentences anew.
    WinslowError.__init__(
        error, problem["what"], where=problem["where"], expected=problem["expected"], remedy=_remedy(problem)
    )
    return error


def _remedy(problem: Mapping[str, Any]) -> str | Action:
    action = problem.get("action")
    if action is None or action["name"] not in TEXTS:
        remedy: str = problem["remedy"]
        return remedy
    return Action(action["name"], dict(action["arguments"]))
