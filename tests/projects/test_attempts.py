"""An attempt is found by its number or its task id."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.domain.attempts import find_attempt
from winslow_dagster.projects.domain.model import Attempt


def attempt(task_id: str) -> Attempt:
    run_id, stage, _ = task_id.split(".")
    return Attempt(
        task_id=task_id,
        project="ulm-07",
        pipeline="traffic",
        pipeline_digest="d",
        stage=stage,
        attempt=1,
        run_id=run_id,
        started_at=datetime(2026, 6, 1, tzinfo=UTC),
        ended_at=None,
        outcome=None,
        message="",
        node="",
        mode=None,
        image_digest=None,
    )


ATTEMPTS = tuple(map(attempt, ("1.detect.1", "1.track.1", "2.detect.1")))


@pytest.mark.parametrize("which", [2, "2", "02", "2.detect.1"])
def test_numbers_count_the_attempts_of_the_stage_over_all_runs(which: str | int) -> None:
    assert find_attempt(ATTEMPTS, "detect", which) is ATTEMPTS[2]


@pytest.mark.parametrize("which", [0, 3, -1, "3", "1.track.1", "", "²", "9" * 5000])
def test_an_unknown_attempt_is_an_error_that_says_what_is_expected(which: str | int) -> None:
    with pytest.raises(NotFound) as caught:
        find_attempt(ATTEMPTS, "detect", which)
    assert caught.value.where == "project ulm-07"
    assert caught.value.expected == "a number from 1 to 2, or a task id"


def test_a_stage_without_attempts_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(NotFound, match=r"stage 'detct' has no attempts\. Did you mean detect"):
        find_attempt(ATTEMPTS, "detct", 1)
    with pytest.raises(NotFound, match="stage 'detect' has no attempts"):
        find_attempt((), "detect", 1)
