"""Estimates the progress of a subject and its remaining time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.stages.log.lines import NS_PER_S
from winslow_dagster.stages.task.model import SubjectProgress

SHORTEST_MEMORY_S: Final = 30.0
MEMORY_SHARE: Final = 0.2
"""The rate is that of the last 30 seconds, or of the last fifth of the time so far if that is longer: it adapts quickly
to a change of pace, and is steady on a stage that runs for days.
"""

GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
PERCENT: Final = 100.0


class Reading(Frozen):
    """The progress of a subject according to one log line."""

    current: float
    total: float | None = None
    unit: str = ""

    @classmethod
    def from_groups(cls, groups: Mapping[str, str | None]) -> Reading | None:
        """A reading from the groups `percent`, or `current`, `total` and `unit`; None if there is no number."""
        if (percent := number(groups.get("percent"))) is not None:
            return cls(current=percent, total=PERCENT, unit="%")
        if (current := number(groups.get("current"))) is None:
            return None
        return cls(current=current, total=number(groups.get("total")), unit=groups.get("unit") or "")


class Pace(Frozen):
    """The progress of one subject over time. A value, so that it can be stored; `after` returns the next one.

    `weight_s` and `weight_done` are the time and the progress so far, with exponentially decaying weights; their
    quotient is the rate. `step` is the progress between two readings, averaged in the same way.
    """

    first_ns: int
    last_ns: int
    reading: Reading
    weight_s: float = 0.0
    weight_done: float = 0.0
    step: float = 0.0

    @classmethod
    def starting(cls, reading: Reading, at_ns: int) -> Pace:
        """The state after the first reading; the rate is not known yet."""
        return cls(first_ns=at_ns, last_ns=at_ns, reading=reading)

    def after(self, reading: Reading, at_ns: int) -> Pace:
        """The state after one more reading."""
        at_ns = max(at_ns, self.last_ns)  # a clock that was set back
        passed_s = (at_ns - self.last_ns) / NS_PER_S
        done = reading.current - self.reading.current
        if self._finished:
            if reading == self.reading:
                return self
            return Pace.starting(reading, at_ns)
        if done < 0 or reading.unit != self.reading.unit:
            # It started over (a second pass, another file): the previous rate does not predict the next.
            return Pace(first_ns=self.first_ns, last_ns=at_ns, reading=reading)
        if not passed_s:
            # Several readings at the same time: the progress counts with the time that follows.
            return self.model_copy(update={"reading": reading, "weight_done": self.weight_done + done})
        memory_s = max(SHORTEST_MEMORY_S, MEMORY_SHARE * (at_ns - self.first_ns) / NS_PER_S)
        faded = math.exp(-passed_s / memory_s)
        return Pace(
            first_ns=self.first_ns,
            last_ns=at_ns,
            reading=reading,
            weight_s=self.weight_s * faded + passed_s,
            weight_done=self.weight_done * faded + done,
            step=self.step * faded + done * (1 - faded) if self.step else done,
        )

    def seen(self, subject: str, now_ns: int) -> SubjectProgress:
        """The subject's progress at `now_ns`."""
        until_ns = self.last_ns if self._finished else max(now_ns, self.last_ns)
        return SubjectProgress(
            subject=subject,
            current=self.reading.current,
            total=self.reading.total,
            unit=self.reading.unit,
            elapsed_s=(until_ns - self.first_ns) / NS_PER_S,
            remaining_s=self._remaining_s((until_ns - self.last_ns) / NS_PER_S),
        )

    @property
    def _finished(self) -> bool:
        return self.reading.total is not None and self.reading.current >= self.reading.total

    def _remaining_s(self, silent_s: float) -> float | None:
        """The time left after `silent_s` without a reading; None if it cannot be estimated."""
        if self._finished:
            return 0.0
        if self.reading.total is None or self.weight_s <= 0 or self.weight_done <= 0:
            return None
        # Until the next reading is due, assume progress at the rate; later time counts as time without progress.
        rate = self.weight_done / self.weight_s
        assumed = min(self.step, rate * silent_s)
        overdue_s = silent_s - assumed / rate
        left = max(self.reading.total - self.reading.current - assumed, 0.0)
        remaining_s = left * (self.weight_s + overdue_s) / self.weight_done
        return remaining_s if math.isfinite(remaining_s) else None


def number(text: str | None) -> float | None:
    """`1234`, `12.5`, `12,5` or `1,234,567` as a number; None for anything else."""
    if text is None:
        return None
    text = text.strip()
    plain = text.replace(",", "") if GROUPED.fullmatch(text) else text.replace(",", ".")
    return parse_finite(plain)
