"""What is said of a run before it is started."""

from __future__ import annotations

from typing import Any

import pytest

from winslow_dagster.projects.domain.run_plan import RunPlan, choices_of, kind_of, sentence_of, unit_of


def plan(**given: Any) -> RunPlan:
    return RunPlan.model_validate({"project": "ulm", "pipeline": "traffic", "stages": ("detect",)} | given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"stages": ("a", "b", "c"), "estimated_s": 7200, "gpus": 1, "kept": ("d", "e", "f", "g")},
            "3 stages run again, about 2 h judged by the last attempts, one GPU; 4 are kept.",
        ),
        ({"estimated_s": 60}, "detect runs again, about 1 m judged by the last attempts."),
        ({"again": False}, "detect runs, for how long is not known yet."),
        (
            {"estimated_s": 60, "outdated": ("count",), "kept": ("look",)},
            "detect runs again, about 1 m judged by the last attempts; count is out of date afterwards; look is kept.",
        ),
        (
            {"estimated_s": 60, "outdated": ("count", "report")},
            "detect runs again, about 1 m judged by the last attempts; count and report are out of date afterwards.",
        ),
        (
            {"estimated_s": 60, "questions": ("count",), "gpus": 2},
            "detect runs again, about 1 m judged by the last attempts, 2 GPUs; it waits for an answer before count.",
        ),
        (
            {"estimated_s": 60, "optional_gpus": 1},
            "detect runs again, about 1 m judged by the last attempts, one GPU if there is one.",
        ),
        (
            {"estimated_s": 60, "optional_gpus": 2},
            "detect runs again, about 1 m judged by the last attempts, 2 GPUs if there are any.",
        ),
        (
            {"runs": 12, "max_concurrent": 2, "estimated_s": 60, "kept": ("look",)},
            "12 runs of detect, at most 2 at once, about 1 m each judged by the last attempts; pick one afterwards.",
        ),
    ],
)
def test_a_plan_is_one_sentence(given: dict[str, Any], says: str) -> None:
    assert sentence_of(plan(**given)) == says


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("MAX_LOST_SECONDS", "s"),
        ("MIN_TRAVEL_M", "m"),
        ("DETECTION_RATE_HZ", "Hz"),
        ("LIMIT_KM_H", "km/h"),
        ("M", ""),
        ("DETECTOR", ""),
    ],
)
def test_a_unit_is_read_from_the_name(name: str, unit: str) -> None:
    assert unit_of(name) == unit


@pytest.mark.parametrize(
    ("comment", "default", "choices"),
    [
        (
            "both; or one of: network, motion, model (your own)",
            "fused",
            ("fused", "network", "motion", "model"),
        ),
        ("one of tensorrt, cuda or cpu", "auto", ("auto", "tensorrt", "cuda", "cpu")),
        ("where networks run: the first available of cuda, openvino, cpu", "auto", ("auto", "cuda", "openvino", "cpu")),
        ("least share of the points, in a frame, to be found", "0.3", ()),
        ("frames searched per second", "10", ()),
    ],
)
def test_values_that_a_comment_lists_are_suggested(comment: str, default: str, choices: tuple[str, ...]) -> None:
    assert choices_of(comment, default) == choices


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("0.4", "1e-3"), "number"),
        (("true", "False"), "boolean"),
        (("auto",), "text"),
        (("", None), "text"),
        (("1", "a"), "text"),
    ],
)
def test_what_a_variable_is_is_seen_from_its_values(values: tuple[str | None, ...], kind: str) -> None:
    assert kind_of(*values) == kind
