"""Simulates the run queue from a moment on, by the rules of the queue and of the GPUs: when does each run start?

A run that was started starts each stage once those before it have ended. A stage that needs GPUs waits in one line for
them, by priority and in the order of arrival: the first one is served as soon as enough GPUs are free, and nobody
overtakes it.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from winslow_dagster.projects.domain.queue_rules import Places, QueueItem, QueueLimits, starting


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
    """From the moment 0 on. `starts_s` has the moment at which each run starts; infinite where nobody knows."""

    def __init__(self, runs: Iterable[RunWork], limits: QueueLimits, gpus: int) -> None:
        self._places = Places(limits)
        self._free_gpus = self._gpus = gpus
        self._number = itertools.count()
        self._events: list[tuple[float, int, _Run, StageWork | None]] = []
        self._waiting: list[_Run] = []
        self._line: list[tuple[_Run, StageWork]] = []
        self._in_progress: dict[str, _Run] = {}
        self._now_s = 0.0
        self._changed = False  # whether a run arrived or ended: then others may start
        self.starts_s: dict[str, float] = {}
        self.ends_s: dict[str, float] = {}
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
                    self._free_gpus -= stage.gpus
                    self._run_stage(run, stage)
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
                    self._waiting.append(run)
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
        for run in (*runs, *self._waiting):
            running = {name: self._now_s - began_s for name, began_s in run.began_s.items() if name in run.left}
            found.append(UnderWay(run.work.item, run not in self._waiting, tuple(run.left.values()), running))
        return found

    def _start_runs(self) -> None:
        by_id = {run.work.item.run_id: run for run in self._waiting}
        for item in starting([run.work.item for run in self._waiting], self._places):
            run = by_id[item.run_id]
            self._waiting.remove(run)
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
                self._run_stage(run, stage)
            else:
                run.begun.add(stage.name)
                self._join_line(run, stage)
        self._serve_gpus()

    def _join_line(self, run: _Run, stage: StageWork) -> None:
        """Behind all that have at least its priority."""
        own = run.work.item.priority
        behind = (place for place, (other, _) in enumerate(self._line) if other.work.item.priority < own)
        self._line.insert(next(behind, len(self._line)), (run, stage))

    def _serve_gpus(self) -> None:
        while self._line and self._line[0][1].gpus <= self._free_gpus:
            run, stage = self._line.pop(0)
            self._free_gpus -= stage.gpus
            self._run_stage(run, stage)

    def _run_stage(self, run: _Run, stage: StageWork) -> None:
        run.begun.add(stage.name)
        run.began_s[stage.name] = self._now_s
        self._push(self._now_s + stage.duration_s, run, stage)

    def _end_stage(self, run: _Run, stage: StageWork) -> None:
        self._free_gpus += stage.gpus
        del run.left[stage.name]
        self._serve_gpus()
        self._go_on(run)

    def _push(self, at_s: float, run: _Run, stage: StageWork | None) -> None:
        heapq.heappush(self._events, (at_s, next(self._number), run, stage))


def start_times(runs: Sequence[RunWork], limits: QueueLimits, gpus: int) -> dict[str, float]:
    """Run id -> the moment at which it starts, for those that wait; infinite where nobody knows."""
    return QueueSimulation(runs, limits, gpus).run().starts_s
