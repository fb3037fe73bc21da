"""When waiting runs and stages are expected to start: the queue simulated forward many times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar
from weakref import WeakKeyDictionary

from winslow_dagster.projects.commands.context import Context, Resources
from winslow_dagster.projects.domain.queue import ExpectedStart
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits
from winslow_dagster.projects.domain.queue_shares import QueueShares
from winslow_dagster.projects.status.durations import DRAWS, forecast
from winslow_dagster.projects.status.queue_simulation import QueueSimulation
from winslow_dagster.projects.status.queue_work import QueueWork, RunToDo, drawn_runs

Key = TypeVar("Key")
MOST_DRAWN = 3000
"""Runs that the simulations of one forecast have in all: with many runs there are fewer simulations."""
LEAST_DRAWS = 10
KEPT_FOR = timedelta(seconds=10)
"""An open page fetches itself with each step of a running stage; an expectation changes more slowly."""


@dataclass(frozen=True, slots=True)
class ForecastQueue:
    """The runs of a forecast by their ids, those of them that wait, the limits, and the GPUs of each machine.

    `stages` are those that wait for GPUs, by run id and name.
    """

    items: dict[str, QueueItem]
    waiting: frozenset[str]
    stages: frozenset[tuple[str, str]]
    limits: QueueLimits
    gpus: tuple[int, ...]
    shares: QueueShares

    def same(self, other: ForecastQueue) -> bool:
        """Whether nothing has changed but what was used lately, which changes all the time."""
        return replace(self, shares=other.shares) == other and self.shares.by == other.shares.by


@dataclass(frozen=True, slots=True)
class ExpectedStarts:
    """By run id, and by run id and stage; without those of which nobody knows."""

    runs: dict[str, ExpectedStart] = field(default_factory=dict)
    stages: dict[tuple[str, str], ExpectedStart] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kept:
    queue: ForecastQueue
    at: datetime
    expected: ExpectedStarts


_KEPT: WeakKeyDictionary[Resources, _Kept] = WeakKeyDictionary()


def expected_starts(
    context: Context, reader: QueueWork, work: Mapping[str, RunToDo], queue: ForecastQueue
) -> ExpectedStarts:
    """When what waits is expected to start. Held runs are expected never to."""
    now, kept = context.clock(), _KEPT.get(context.resources)
    if kept is not None and kept.queue.same(queue) and now - kept.at < KEPT_FOR:
        return kept.expected
    durations = reader.durations(work.values())
    runs: dict[str, list[float]] = {run_id: [] for run_id in queue.items if run_id in queue.waiting}
    stages: dict[tuple[str, str], list[float]] = {stage: [] for stage in queue.stages}
    # The same numbers each time, so that an expectation changes only with what it is made of.
    random = Random(0)  # noqa: S311  # a simulation
    for _ in range(max(LEAST_DRAWS, min(DRAWS, MOST_DRAWN // len(queue.items)))):
        drawn = drawn_runs(queue.items, work, runs.keys(), durations, random)
        simulated = QueueSimulation(drawn, queue.limits, queue.gpus, queue.shares).run()
        for run_id, starts_s in runs.items():
            starts_s.append(simulated.starts_s[run_id])
        for stage, starts_s in stages.items():
            starts_s.append(simulated.stage_starts_s.get(stage, math.inf))
    expected = ExpectedStarts(_expected(runs, now), _expected(stages, now))
    _KEPT[context.resources] = _Kept(queue, now, expected)
    return expected


def _expected(drawn: Mapping[Key, list[float]], now: datetime) -> dict[Key, ExpectedStart]:
    found = {key: forecast(starts_s, now) for key, starts_s in drawn.items()}
    return {
        key: ExpectedStart(at=each.at, early=each.early, late=each.late)
        for key, each in found.items()
        if each is not None
    }
