"""Simulates the run queue from a moment on, by the rules of the queue and of the GPUs: when does each run start?

A run that was started starts each stage once those before it have ended. A stage that needs GPUs waits in one line for
them, which is ordered and served as `domain/gpu_line.py` says.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from winslow_dagster.projects.domain.gpu_line import GpuMachines, WaitingStage, line_numbers
from winslow_dagster.projects.domain.queue_rules import Places, QueueItem, QueueLimits, starting
from winslow_dagster.projects.domain.queue_shares import QueueShares


@dataclass(frozen=True, slots=True)
class StageWork:
    """A stage that is to run, or the rest of one that runs. A duration that nobody knows is infinite."""

    name: str
    duration_s: float
    after: tuple[str, ...] = ()
    gpus: int = 0
    running: bool = False


@dataclass(frozen=True, slots=True)
class RunWork:
    """A run and its stages that have not ended. It waits from `queued_at_s` on, unless it is in progress."""

    item: QueueItem
    stages: tuple[StageWork, ...]
    in_progress: bool = False
    queued_at_s: float = 0.0


@dataclass(slots=True)
class _Run:
    work: RunWork
    left: dict[str, StageWork] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    began_s: dict[str, float] = field(default_factory=dict)
    machines: dict[str, int] = field(default_factory=dict)
    """Where its stages with GPUs run."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that has not ended at the present moment of a simulation.

    `running` has for each stage that runs how long it has, and `left` all that have not ended.
    """

    item: QueueItem
    in_progress: bool
    left: tuple[StageWork, ...]
    running: dict[str, float]


class QueueSimulation:
    """From the moment 0 on, on machines with so many GPUs each.

    `starts_s` has the moment at which each run starts; infinite where nobody knows. `stage_starts_s` has those of its
    stages.
    """

    def __init__(
        self, runs: Iterable[RunWork], limits: QueueLimits, gpus: Sequence[int], shares: QueueShares | None = None
    ) -> None:
        self._places = Places(limits, shares or QueueShares())
        self._machines = GpuMachines(gpus or (0,))
        self._number = itertools.count()
        self._events: list[tuple[float, int, _Run, StageWork | None]] = []
        self._waiting: dict[str, _Run] = {}
        self._line: list[tuple[_Run, StageWork]] = []
        self._first: tuple[_Run, StageWork] | None = None
        self._held: Counter[str] = Counter()
        self._in_progress: dict[str, _Run] = {}
        self._now_s = 0.0
        self._changed = False  # whether a run arrived or ended: then others may start
        self.starts_s: dict[str, float] = {}
        self.ends_s: dict[str, float] = {}
        self.stage_starts_s: dict[tuple[str, str], float] = {}
        under_way = []
        for work in runs:
            run = _Run(work, {stage.name: stage for stage in work.stages})
            if work.in_progress:
                self._places.take(work.item)
                self._in_progress[work.item.run_id] = run
                under_way.append(run)
            else:
                self.starts_s[work.item.run_id] = math.inf
                self._push(work.queued_at_s, run, None)
        # Those that have their GPUs come before those that wait for them.
        for run in under_way:
            for stage in run.work.stages:
                if stage.running:
                    self._run_stage(run, stage, self._machines.most_free())
        for run in under_way:
            self._go_on(run)

    def run(self, until_s: float = math.inf) -> QueueSimulation:
        """Simulate up to then, or until nothing happens any more."""
        while True:
            if not self._events or self._events[0][0] > until_s or math.isinf(self._events[0][0]):
                if not math.isinf(until_s):
                    self._now_s = until_s
                return self
            self._now_s = self._events[0][0]
            while self._events and self._events[0][0] == self._now_s:
                _, _, run, stage = heapq.heappop(self._events)
                if stage is None:
                    self._waiting[run.work.item.run_id] = run
                    self._changed = True
                else:
                    self._end_stage(run, stage)
            while self._changed:
                self._changed = False
                self._start_runs()

    def under_way(self) -> list[UnderWay]:
        """What has not ended at this moment: first those in the line for GPUs, in its order; last those that wait."""
        in_line = list(dict.fromkeys(id(run) for run, _ in self._line))
        place = {each: number for number, each in enumerate(in_line)}
        runs = sorted(self._in_progress.values(), key=lambda run: place.get(id(run), len(place)))
        found = []
        for run in (*runs, *self._waiting.values()):
            running = {name: self._now_s - began_s for name, began_s in run.began_s.items() if name in run.left}
            in_progress = run.work.item.run_id in self._in_progress
            found.append(UnderWay(run.work.item, in_progress, tuple(run.left.values()), running))
        return found

    def _start_runs(self) -> None:
        for item in starting([run.work.item for run in self._waiting.values()], self._places):
            run = self._waiting.pop(item.run_id)
            self.starts_s[item.run_id] = self._now_s
            self._in_progress[item.run_id] = run
            self._go_on(run)

    def _go_on(self, run: _Run) -> None:
        """Start the stages that can start, or end the run."""
        if not run.left:
            self._places.leave(run.work.item)
            self.ends_s[run.work.item.run_id] = self._now_s
            self._in_progress.pop(run.work.item.run_id, None)
            self._changed = True
            return
        for stage in run.work.stages:
            if stage.name in run.begun or stage.name not in run.left or any(name in run.left for name in stage.after):
                continue
            if not stage.gpus:
                self._run_stage(run, stage, 0)
            else:
                run.begun.add(stage.name)
                self._line.append((run, stage))
        self._serve_gpus()

    def _order_line(self) -> None:
        """By priority and shares, in the order of arrival among equals."""
        stages = [
            WaitingStage(str(place), stage.gpus, run.work.item.sharer, run.work.item.priority)
            for place, (run, stage) in enumerate(self._line)
        ]
        kept = next((str(place) for place, waiting in enumerate(self._line) if waiting is self._first), None)
        numbers = line_numbers(stages, self._held, self._places.shares, kept)
        order = sorted(range(len(stages)), key=lambda place: -numbers[str(place)])
        self._line = [self._line[place] for place in order]
        self._first = self._line[0] if self._line else None

    def _serve_gpus(self) -> None:
        if not self._line or not self._machines.any_free:
            return
        self._order_line()
        placements = self._machines.serve(stage.gpus for _, stage in self._line)
        served = [(*self._line[each.place], each.machine) for each in placements]
        for each in reversed(placements):
            self._line.pop(each.place)
        for run, stage, machine in served:
            self._machines.give_back(machine, stage.gpus)
            self._run_stage(run, stage, machine)

    def _run_stage(self, run: _Run, stage: StageWork, machine: int) -> None:
        self._machines.take(machine, stage.gpus)
        self._held[run.work.item.sharer] += stage.gpus
        run.machines[stage.name] = machine
        run.begun.add(stage.name)
        run.began_s[stage.name] = self.stage_starts_s[run.work.item.run_id, stage.name] = self._now_s
        self._push(self._now_s + stage.duration_s, run, stage)

    def _end_stage(self, run: _Run, stage: StageWork) -> None:
        self._machines.give_back(run.machines[stage.name], stage.gpus)
        self._held[run.work.item.sharer] -= stage.gpus
        del run.left[stage.name]
        self._serve_gpus()
        self._go_on(run)

    def _push(self, at_s: float, run: _Run, stage: StageWork | None) -> None:
        heapq.heappush(self._events, (at_s, next(self._number), run, stage))


def start_times(
    runs: Sequence[RunWork], limits: QueueLimits, gpus: Sequence[int], shares: QueueShares | None = None
) -> dict[str, float]:
    """Run id -> the moment at which it starts, for those that wait; infinite where nobody knows."""
    return QueueSimulation(runs, limits, gpus, shares).run().starts_s
