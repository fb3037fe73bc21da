"""When a run is expected to end: an estimate from what its stages report and from how long stages took before."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import select

from winslow_dagster.pipelines import Pipeline
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.lineage import in_order
from winslow_dagster.stages.task.model import SubjectProgress

ATTEMPTS_CONSIDERED = 20
"""Of these latest attempts of a stage, in any project, the median duration counts."""


def expected_end(
    pipeline: Pipeline,
    running: Mapping[str, float | None],
    following: Collection[str],
    typical_s: Mapping[str, float],
    now: datetime,
) -> datetime | None:
    """When the last stage ends if each starts as soon as those before it have ended. None if that cannot be told.

    `running` has the seconds left of each running stage, None where they are not known. `following` are the stages that
    come after them in the run, and `typical_s` is how long stages took before. One stage of which nothing is known
    makes the whole estimate unknown.
    """
    ends: dict[str, datetime] = {}
    for stage in in_order(pipeline):
        if stage.name in running:
            left_s = running[stage.name]
        elif stage.name in following:
            left_s = typical_s.get(stage.name)
        else:
            continue
        if left_s is None:
            return None
        begins = max((ends[name] for name in stage.after if name in ends), default=now)
        ends[stage.name] = begins + timedelta(seconds=left_s)
    return max(ends.values(), default=None)


def seconds_left(progress: Iterable[SubjectProgress], elapsed_s: float, typical_s: float | None) -> float | None:
    """How long a running stage still takes: what it reports, else what is left of the time that it usually takes.

    None if neither is known, and if it has already taken longer than usual.
    """
    reported = [each.remaining_s for each in progress if each.remaining_s is not None]
    if reported:
        return max(reported)
    return typical_s - elapsed_s if typical_s is not None and typical_s > elapsed_s else None


def fraction_done(progress: Iterable[SubjectProgress]) -> float | None:
    """How far a running stage has come, from 0 to 1: its slowest subject. None if no subject has a total."""
    known = [each.current / each.total for each in progress if each.total]
    return min(1.0, max(0.0, min(known))) if known else None


def typical_durations(database: Database, pipeline: str, stages: Iterable[str]) -> dict[str, float]:
    """Stage -> the median of the seconds that its latest attempts took to succeed, in any project of the pipeline."""
    return {stage: statistics.median(each) for stage, each in latest_durations(database, pipeline, stages).items()}


def latest_durations(
    database: Database, pipeline: str, stages: Iterable[str], most: int = ATTEMPTS_CONSIDERED
) -> dict[str, list[float]]:
    """Stage -> the seconds that its latest attempts took to succeed, in any project of the pipeline."""
    table = schema.attempts
    found: dict[str, list[float]] = {}
    with database.reading() as connection:
        for stage in stages:
            query = (
                select(table.c.started_at, table.c.ended_at)
                .where(
                    table.c.pipeline == pipeline,
                    table.c.stage == stage,
                    table.c.outcome == "succeeded",
                    table.c.reused_from.is_(None),
                )
                .order_by(table.c.ended_at.desc())
                .limit(most)
            )
            durations = [(row.ended_at - row.started_at).total_seconds() for row in connection.execute(query)]
            if durations:
                found[stage] = durations
    return found
