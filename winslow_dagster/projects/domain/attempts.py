"""Finding an attempt of a stage by the number or the task id a person names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines import nearest
from winslow_dagster.projects.domain.model import Attempt

NUMBER = re.compile(r"[0-9]{1,9}")


def numbers_of(attempts: Iterable[Attempt]) -> dict[str, int]:
    """Task id -> the attempt's number among those of its stage. `attempts` are all of a project, as they started."""
    counts: dict[str, int] = {}
    found = {}
    for attempt in attempts:
        counts[attempt.stage] = counts.get(attempt.stage, 0) + 1
        found[attempt.task_id] = counts[attempt.stage]
    return found


def find_attempt(attempts: Iterable[Attempt], stage: str, number_or_id: str | int) -> Attempt:
    """Find an attempt among those of a project, ordered as they started.

    Numbers count the attempts of the stage from 1, over all runs. Raises NotFound.
    """
    known = tuple(attempts)
    of_stage = [attempt for attempt in known if attempt.stage == stage]
    if not of_stage:
        suggestion = nearest(stage, {attempt.stage for attempt in known})
        raise NotFound(
            f"stage {stage!r} has no attempts",
            where=f"project {known[0].project}" if known else "",
            remedy=f"Did you mean {suggestion}?" if suggestion else "",
        )
    if NUMBER.fullmatch(str(number_or_id)):
        number = int(number_or_id)
        found = of_stage[number - 1] if 1 <= number <= len(of_stage) else None
    else:
        found = next((attempt for attempt in of_stage if attempt.task_id == number_or_id), None)
    if found is None:
        raise NotFound(
            f"stage {stage} has no attempt {number_or_id}",
            where=f"project {of_stage[0].project}",
            expected=f"a number from 1 to {len(of_stage)}, or a task id",
        )
    return found
