"""The rule of the run queue: which waiting runs start now, and what keeps each of the others.

The daemon looks once a second. It takes the waiting runs by priority, the highest first, and within a priority in the
order in which they were queued. It starts each of them unless a limit keeps it; a run that is kept does not keep those
behind it. Dagster's queue works by the same rule, with the limits that `jobs/run_coordinator.py` gives it: a test
compares the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

PRIORITY_TAG = "dagster/priority"
HELD_TAG = "winslow/held"
HELD = "yes"
QUEUE_TAG = "winslow/queue"
GPU_QUEUE = "gpu"
SWEEP_LIMIT_TAG = "winslow/sweep-at-most-"
"""With a limit behind it, the key of a tag whose value is the sweep."""

RUNS_AT_ONCE = 20
"""Beside those that need a GPU: what a machine does with few GPUs must not depend on how many runs wait for them."""
RUNS_PER_GPU = 2
"""One that uses it, and one that is in another stage, so that no GPU is idle meanwhile."""

Limit = Literal["held", "runs", "gpu_runs", "sweep"]


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many runs are in progress at most: in all, and of those that cannot do without a GPU."""

    runs: int
    gpu_runs: int

    @classmethod
    def of(cls, gpus: int) -> QueueLimits:
        """Those of an installation whose nodes have so many GPUs.

        Without any, runs that need one are started all the same: they fail and say what is missing.
        """
        gpu_runs = RUNS_PER_GPU * max(1, gpus)
        return cls(RUNS_AT_ONCE + gpu_runs - RUNS_PER_GPU, gpu_runs)


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A run, as far as the rule looks at it."""

    run_id: str
    priority: int = 0
    needs_gpu: bool = False
    held: bool = False
    sweeps: tuple[tuple[str, int], ...] = ()
    """The sweeps that it belongs to, and how many of their runs may be in progress."""

    @classmethod
    def of_tags(cls, run_id: str, tags: dict[str, str]) -> QueueItem:
        """With these tags of Dagster's."""
        sweeps = tuple(
            (f"{key}:{value}", int(limit))
            for key, value in tags.items()
            if key.startswith(SWEEP_LIMIT_TAG) and (limit := key.removeprefix(SWEEP_LIMIT_TAG)).isdigit()
        )
        return cls(
            run_id,
            priority=priority_of(tags.get(PRIORITY_TAG, "0")),
            needs_gpu=tags.get(QUEUE_TAG) == GPU_QUEUE,
            held=tags.get(HELD_TAG) == HELD,
            sweeps=sweeps,
        )


def priority_of(text: str) -> int:
    """The number in a priority tag; 0 where there is none, as for Dagster."""
    try:
        return int(text)
    except ValueError:
        return 0


@dataclass(slots=True)
class Places:
    """How many places are taken. Counts a run in with `take`."""

    limits: QueueLimits
    runs: int = 0
    gpu_runs: int = 0
    sweeps: Counter[str] = field(default_factory=Counter)

    def take(self, item: QueueItem) -> None:
        """A run that is in progress."""
        self.runs += 1
        self.gpu_runs += item.needs_gpu
        self.sweeps.update(sweep for sweep, _ in item.sweeps)

    def leave(self, item: QueueItem) -> None:
        """A run that has ended."""
        self.runs -= 1
        self.gpu_runs -= item.needs_gpu
        self.sweeps.subtract(sweep for sweep, _ in item.sweeps)

    def limit(self, item: QueueItem) -> Limit | None:
        """What keeps the run from starting; None if nothing does."""
        if item.held:
            return "held"
        if any(self.sweeps[sweep] >= most for sweep, most in item.sweeps):
            return "sweep"
        if item.needs_gpu and self.gpu_runs >= self.limits.gpu_runs:
            return "gpu_runs"
        return "runs" if self.runs >= self.limits.runs else None


def in_order(waiting: Sequence[QueueItem]) -> list[QueueItem]:
    """Waiting runs in the order in which they are looked at. They are given in the order in which they were queued."""
    return sorted(waiting, key=lambda item: -item.priority)


def starting(waiting: Sequence[QueueItem], places: Places) -> list[QueueItem]:
    """The runs that start now, in their order. Takes their places."""
    started = []
    for item in in_order(waiting):
        if places.limit(item) is None:
            places.take(item)
            started.append(item)
    return started


def places_of(limits: QueueLimits, in_progress: Iterable[QueueItem]) -> Places:
    """The places that these runs take."""
    places = Places(limits)
    for item in in_progress:
        places.take(item)
    return places
