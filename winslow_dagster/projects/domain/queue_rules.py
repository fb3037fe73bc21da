"""The rule of the run queue: which waiting runs start now, and what keeps each of the others.

The daemon looks once a second. It takes the waiting runs by priority, the highest first. Within a priority, owners (or
projects) take turns: see `queue_shares.py`. The runs of one of them are taken in the order in which they were queued.
Each is started unless a limit keeps it; a run that is kept does not keep those behind it.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from winslow_dagster.projects.domain.queue_shares import QueueShares

PRIORITY_TAG = "dagster/priority"
HELD_TAG = "winslow/held"
HELD = "yes"
QUEUE_TAG = "winslow/queue"
GPU_QUEUE = "gpu"
GPU_VENDOR_TAG = "winslow/gpu-vendor"
"""The vendor of the GPUs that a run needs, where all its stages that need one name the same."""
SWEEP_LIMIT_TAG = "winslow/sweep-at-most-"
"""With a limit behind it, the key of a tag whose value is the sweep."""

RUNS_AT_ONCE = 20
"""Beside those that need a GPU: what a machine does with few GPUs must not depend on how many runs wait for them."""
RUNS_PER_GPU = 2
"""One that uses it, and one that is in another stage, so that no GPU is idle meanwhile."""

Limit = Literal["held", "runs", "gpu_runs", "gpu_vendor", "sweep"]


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many runs are in progress at most: in all, and of those that cannot do without a GPU.

    `vendors` has the number of GPUs of each: runs for a rare one must not take the places of those for the others.
    """

    runs: int
    gpu_runs: int
    vendors: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, vendors: Iterable[str]) -> QueueLimits:
        """Those of an installation whose nodes have a GPU of each of these vendors.

        Without any, runs that need one are started all the same: they fail and say what is missing.
        """
        gpus = Counter(vendors)
        gpu_runs = RUNS_PER_GPU * max(1, gpus.total())
        return cls(RUNS_AT_ONCE + gpu_runs - RUNS_PER_GPU, gpu_runs, gpus)

    def of_vendor(self, vendor: str) -> int:
        """How many runs are in progress at most of those that need a GPU of this vendor."""
        return RUNS_PER_GPU * max(1, self.vendors.get(vendor, 0))


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A run, as far as the rule looks at it."""

    run_id: str
    priority: int = 0
    needs_gpu: bool = False
    gpu_vendor: str = ""
    """Of the GPUs that it needs; empty if any will do, or its stages need several."""
    held: bool = False
    sweeps: tuple[tuple[str, int], ...] = ()
    """The sweeps that it belongs to, and how many of their runs may be in progress."""
    sharer: str = ""
    """Whose turn it takes: an owner or a project."""

    @classmethod
    def of_tags(cls, run_id: str, tags: Mapping[str, str]) -> QueueItem:
        """With these tags of Dagster's."""
        sweeps = tuple(
            (f"{key}:{value}", int(limit))
            for key, value in tags.items()
            if key.startswith(SWEEP_LIMIT_TAG) and (limit := key.removeprefix(SWEEP_LIMIT_TAG)).isdigit()
        )
        needs_gpu = tags.get(QUEUE_TAG) == GPU_QUEUE
        return cls(
            run_id,
            priority=priority_of(tags.get(PRIORITY_TAG, "0")),
            needs_gpu=needs_gpu,
            gpu_vendor=tags.get(GPU_VENDOR_TAG, "") if needs_gpu else "",
            held=tags.get(HELD_TAG) == HELD,
            sweeps=sweeps,
        )

    def of(self, sharer: str) -> QueueItem:
        """The same, of this sharer."""
        return replace(self, sharer=sharer)


def priority_of(text: str) -> int:
    """The number in a priority tag; 0 where there is none, as for Dagster."""
    try:
        return int(text)
    except ValueError:
        return 0


@dataclass(slots=True)
class Places:
    """How many places are taken, in all and by whom. Counts a run in with `take`."""

    limits: QueueLimits
    shares: QueueShares = field(default_factory=QueueShares)
    runs: int = 0
    gpu_runs: int = 0
    vendors: Counter[str] = field(default_factory=Counter)
    sweeps: Counter[str] = field(default_factory=Counter)
    taken: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """By sharer, and whether the runs need a GPU."""

    def take(self, item: QueueItem) -> None:
        """A run that is in progress."""
        self.runs += 1
        self.gpu_runs += item.needs_gpu
        self.vendors[item.gpu_vendor] += 1
        self.sweeps.update(sweep for sweep, _ in item.sweeps)
        self.taken[item.sharer, item.needs_gpu] += 1

    def leave(self, item: QueueItem) -> None:
        """A run that has ended."""
        self.runs -= 1
        self.gpu_runs -= item.needs_gpu
        self.vendors[item.gpu_vendor] -= 1
        self.sweeps.subtract(sweep for sweep, _ in item.sweeps)
        self.taken[item.sharer, item.needs_gpu] -= 1

    def full(self, *, gpus_only: bool) -> bool:
        """Whether no run can start; with `gpus_only`, no run that needs a GPU."""
        return self.runs >= self.limits.runs or (gpus_only and self.gpu_runs >= self.limits.gpu_runs)

    def limit(self, item: QueueItem) -> Limit | None:
        """What keeps the run from starting; None if nothing does."""
        if (own := own_limit(item, self.sweeps)) is not None:
            return own
        if item.needs_gpu and self.gpu_runs >= self.limits.gpu_runs:
            return "gpu_runs"
        if item.gpu_vendor and self.vendors[item.gpu_vendor] >= self.limits.of_vendor(item.gpu_vendor):
            return "gpu_vendor"
        return "runs" if self.runs >= self.limits.runs else None


def own_limit(item: QueueItem, sweeps: Mapping[str, int]) -> Limit | None:
    """What keeps this run, whatever places are free; None if nothing does."""
    if item.held:
        return "held"
    return "sweep" if any(sweeps.get(sweep, 0) >= most for sweep, most in item.sweeps) else None


def in_order(waiting: Sequence[QueueItem], places: Places) -> Iterator[QueueItem]:
    """Waiting runs in the order in which they are looked at. They are given in the order in which they were queued.

    Each run counts for those behind it as if it had started, unless it could not: so owners take turns.
    """
    levels: dict[int, list[QueueItem]] = {}
    for item in waiting:
        levels.setdefault(item.priority, []).append(item)
    order = _Turns(places) if places.shares.apply else iter
    for priority in sorted(levels, reverse=True):
        yield from order(levels[priority])


class _Turns:
    """Orders the runs of one priority after the other."""

    def __init__(self, places: Places) -> None:
        self._shares = places.shares
        self._taken = Counter(places.taken)
        self._sweeps = Counter(places.sweeps)

    def __call__(self, waiting: Sequence[QueueItem]) -> Iterator[QueueItem]:
        """Those that need a GPU and those that do not have turns of their own; then the two lists are merged."""
        groups: dict[tuple[str, bool], deque[tuple[int, QueueItem]]] = {}
        for number, item in enumerate(waiting):
            groups.setdefault((item.sharer, item.needs_gpu), deque()).append((number, item))
        heaps: dict[bool, list[tuple[float, float, int, str]]] = {True: [], False: []}
        for (_, kind), queue in groups.items():
            heaps[kind].append(self._key(*queue[0]))
        for heap in heaps.values():
            heapq.heapify(heap)
        while kinds := [kind for kind, heap in heaps.items() if heap]:
            kind = min(kinds, key=lambda each: self._key_of_both(heaps[each][0]))
            *_, sharer = heapq.heappop(heaps[kind])
            _, item = groups[sharer, kind].popleft()
            if own_limit(item, self._sweeps) is None:
                self._taken[sharer, kind] += 1
                self._sweeps.update(sweep for sweep, _ in item.sweeps)
            if groups[sharer, kind]:
                heapq.heappush(heaps[kind], self._key(*groups[sharer, kind][0]))
            yield item

    def _key(self, number: int, item: QueueItem) -> tuple[float, float, int, str]:
        """The least is next among runs that need a GPU, or among those that do not."""
        taken = self._taken[item.sharer, item.needs_gpu]
        return *self._shares.use(item.sharer, taken, needs_gpu=item.needs_gpu), number, item.sharer

    def _key_of_both(self, key: tuple[float, float, int, str]) -> tuple[float, int]:
        """The least is next among both."""
        *_, number, sharer = key
        taken = self._taken[sharer, True] + self._taken[sharer, False]
        return self._shares.use(sharer, taken, needs_gpu=True)[0], number


def starting(waiting: Sequence[QueueItem], places: Places) -> list[QueueItem]:
    """The runs that start now, in their order. Takes their places."""
    all_need_gpus = all(item.needs_gpu for item in waiting)
    started: list[QueueItem] = []
    if places.full(gpus_only=all_need_gpus):
        return started
    for item in in_order(waiting, places):
        if places.limit(item) is None:
            places.take(item)
            started.append(item)
            if places.full(gpus_only=all_need_gpus):
                break
    return started


def places_of(limits: QueueLimits, in_progress: Iterable[QueueItem], shares: QueueShares | None = None) -> Places:
    """The places that these runs take."""
    places = Places(limits, shares or QueueShares())
    for item in in_progress:
        places.take(item)
    return places
