"""When waiting runs are expected to start: the queue simulated forward many times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from weakref import WeakKeyDictionary

from winslow_dagster.projects.commands.context import Context, Resources
from winslow_dagster.projects.domain.queue import ExpectedStart
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits
from winslow_dagster.projects.domain.queue_shares import QueueShares
from winslow_dagster.projects.status.durations import DRAWS, forecast
from winslow_dagster.projects.status.queue_simulation import start_times
from winslow_dagster.projects.status.queue_work import QueueWork, RunToDo, drawn_runs

MOST_DRAWN = 3000
"""Runs that the simulations of one forecast have in all: with many runs there are fewer simulations."""
LEAST_DRAWS = 10
KEPT_FOR = timedelta(seconds=10)
"""An open page fetches itself with each step of a running stage; an expectation changes more slowly."""


@dataclass(frozen=True, slots=True)
class ForecastQueue:
    """The runs of a forecast by their ids, those of them that wait, the limits, and the GPUs of each machine."""

    items: dict[str, QueueItem]
    waiting: frozenset[str]
    limits: QueueLimits
    gpus: tuple[int, ...]
    shares: QueueShares

    def same(self, other: ForecastQueue) -> bool:
        """Whether nothing has changed but what was used lately, which changes all the time."""
        return replace(self, shares=other.shares) == other and self.shares.by == other.shares.by


@dataclass(frozen=True, slots=True)
class _Kept:
    queue: ForecastQueue
    at: datetime
    expected: dict[str, ExpectedStart]


_KEPT: WeakKeyDictionary[Resources, _Kept] = WeakKeyDictionary()


def expected_starts(
    context: Context, reader: QueueWork, work: Mapping[str, RunToDo], queue: ForecastQueue
) -> dict[str, ExpectedStart]:
    """Run id -> when it is expected to start, for those that wait. Held runs are expected never to."""
    now, kept = context.clock(), _KEPT.get(context.resources)
    if kept is not None and kept.queue.same(queue) and now - kept.at < KEPT_FOR:
        return kept.expected
    durations = reader.durations(work.values())
    draws: dict[str, list[float]] = {run_id: [] for run_id in queue.items if run_id in queue.waiting}
    # The same numbers each time, so that an expectation changes only with what it is made of.
    random = Random(0)  # noqa: S311  # a simulation
    for _ in range(max(LEAST_DRAWS, min(DRAWS, MOST_DRAWN // len(queue.items)))):
        runs = drawn_runs(queue.items, work, draws.keys(), durations, random)
        for run_id, start_s in start_times(runs, queue.limits, queue.gpus, queue.shares).items():
            draws[run_id].append(start_s)
    found = {run_id: forecast(drawn, now) for run_id, drawn in draws.items()}
    expected = {
        run_id: ExpectedStart(at=each.at, early=each.early, late=each.late)
        for run_id, each in found.items()
        if each is not None
    }
    _KEPT[context.resources] = _Kept(queue, now, expected)
    return expected
