"""Records what an attempt uses, with few points: when there are too many, each two become one."""

from __future__ import annotations

import time
from statistics import fmean

from winslow_dagster.stages.disk_space import DISK_FULL_ERRNOS
from winslow_dagster.stages.launchers.base import Usage
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import UsageCurve

MOST_POINTS = 240


class UsageRecorder:
    """One per runner. It goes on with what an earlier runner of the attempt recorded."""

    def __init__(self, directory: TaskDirectory) -> None:
        self._directory = directory
        self.curve = directory.usage() or UsageCurve()
        self._last: tuple[float, float] | None = None
        self._step: tuple[int, list[float], list[int]] = (0, [], [])

    def record(self, usage: Usage) -> None:
        """Call about once a second."""
        now_s = time.time()
        if usage.cpu_s is not None:
            if self._last is not None and now_s > self._last[0]:
                self._step[1].append(max(0.0, usage.cpu_s - self._last[1]) / (now_s - self._last[0]))
            self._last = now_s, usage.cpu_s
        if usage.memory_bytes is not None:
            self._step[2].append(usage.memory_bytes)
        step = int(now_s) // self.curve.step_s * self.curve.step_s
        if step <= self._step[0]:
            return
        if self._step[0]:
            self._add(self._step)
        self._step = (step, [], [])

    def _add(self, step: tuple[int, list[float], list[int]]) -> None:
        begin, cpus, memory = step
        curve = self.curve
        self.curve = thinned(
            UsageCurve(
                step_s=curve.step_s,
                at=(*curve.at, begin),
                cpus=(*curve.cpus, round(fmean(cpus), 3) if cpus else None),
                memory_bytes=(*curve.memory_bytes, round(fmean(memory)) if memory else None),
            )
        )
        try:
            self._directory.write_usage(self.curve)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:  # The result will report a full disk.
                raise


def thinned(curve: UsageCurve, most: int = MOST_POINTS) -> UsageCurve:
    """The curve with at most so many points: each step is twice as long until they are few enough."""
    while len(curve.at) > most:
        step_s = curve.step_s * 2
        steps: dict[int, list[int]] = {}
        for place, moment in enumerate(curve.at):
            steps.setdefault(moment // step_s * step_s, []).append(place)
        cpus = [_mean([curve.cpus[place] for place in places]) for places in steps.values()]
        memory = [_mean([curve.memory_bytes[place] for place in places]) for places in steps.values()]
        curve = UsageCurve(
            step_s=step_s,
            at=tuple(steps),
            cpus=tuple(None if each is None else round(each, 3) for each in cpus),
            memory_bytes=tuple(None if each is None else round(each) for each in memory),
        )
    return curve


def _mean(values: list[float | None] | list[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
