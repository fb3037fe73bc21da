"""How far expected starts of the run queue are from the real ones, over simulated weeks.

A machine with four GPUs gets runs of three stages, more by day than by night. The stage in the middle needs a GPU, and
its durations are log-normal with a median of 1.1 h and a mean of 6.1 h. Whenever a run is queued, its start is forecast
as the product does: with the same rule, from the durations of the latest attempts that have ended by then.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from bench.figure import Figure
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits
from winslow_dagster.projects.status.durations import ATTEMPTS_CONSIDERED, DRAWS, Durations, forecast
from winslow_dagster.projects.status.queue_simulation import QueueSimulation, RunWork, StageWork, UnderWay, start_times

HOUR_S = 3600.0
WEEK_S = 7 * 24 * HOUR_S
GPUS = 4
RUNS_A_WEEK = 100
"""They need nine tenths of what the GPUs can do."""
MEDIAN_S, MEAN_S = 1.1 * HOUR_S, 6.1 * HOUR_S
SIGMA = math.sqrt(2 * math.log(MEAN_S / MEDIAN_S))
SHORT_S = 600.0
"""The median of the two stages that need no GPU; they vary little."""
SHORT_SIGMA = 0.3
WEEKS = 10
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
AFTER = {"extract": (), "detect": ("extract",), "export": ("detect",)}


@dataclass(frozen=True)
class Checked:
    """One run that had to wait: how long it did, how long it was expected to, and between what."""

    waited_s: float
    expected_s: float
    early_s: float
    late_s: float

    @property
    def error_s(self) -> float:
        return abs(self.waited_s - self.expected_s)

    @property
    def inside(self) -> bool:
        return self.early_s <= self.waited_s <= self.late_s


def drawn_s(stage: str, random: Random) -> float:
    if stage == "detect":
        return random.lognormvariate(math.log(MEDIAN_S), SIGMA)
    return random.lognormvariate(math.log(SHORT_S), SHORT_SIGMA)


def arrivals(random: Random) -> list[float]:
    """Moments of one week, twice as many an hour by day."""
    found: list[float] = []
    while len(found) < RUNS_A_WEEK:
        at_s = random.uniform(0, WEEK_S)
        by_day = 8 <= at_s / HOUR_S % 24 < 20
        if by_day or random.random() < 0.5:
            found.append(at_s)
    return sorted(found)


def week(seed: int, draws: int = DRAWS, every: int = 1) -> list[Checked]:
    """One week. The start of each `every`-th run is forecast when it is queued."""
    random = Random(seed)
    limits = QueueLimits.of(GPUS * ["nvidia"])
    works = [
        RunWork(
            QueueItem(f"run-{number}", needs_gpu=True),
            tuple(
                StageWork(name, drawn_s(name, random), after, gpus=1 if name == "detect" else 0)
                for name, after in AFTER.items()
            ),
            queued_at_s=at_s,
        )
        for number, at_s in enumerate(arrivals(random))
    ]
    known = {name: [drawn_s(name, random) for _ in range(ATTEMPTS_CONSIDERED)] for name in AFTER}
    real = QueueSimulation(works, limits, [GPUS])
    ended: set[tuple[str, str]] = set()
    forecasts: dict[str, tuple[float, float, float]] = {}
    for number, work in enumerate(works):
        real.run(work.queued_at_s)
        present = real.under_way()
        remember(works[:number], present, ended, known)
        if number % every:
            continue
        waiting = any(each.item == work.item and not each.in_progress for each in present)
        if waiting:
            forecasts[work.item.run_id] = expected(work, present, known, limits, draws, Random(seed * 1000 + number))
    starts_s = real.run().starts_s
    return [
        Checked(starts_s[work.item.run_id] - work.queued_at_s, *forecasts[work.item.run_id])
        for work in works
        if work.item.run_id in forecasts
    ]


def remember(
    works: list[RunWork], present: list[UnderWay], ended: set[tuple[str, str]], known: dict[str, list[float]]
) -> None:
    """Add the durations of stages that have ended since the last time; only the latest attempts count."""
    left = {(each.item.run_id, stage.name) for each in present for stage in each.left}
    for work in works:
        for stage in work.stages:
            key = (work.item.run_id, stage.name)
            if key not in left and key not in ended:
                ended.add(key)
                known[stage.name] = [*known[stage.name], stage.duration_s][-ATTEMPTS_CONSIDERED:]


def expected(  # noqa: PLR0913, PLR0917  # what a forecast is made of
    work: RunWork,
    present: list[UnderWay],
    known: dict[str, list[float]],
    limits: QueueLimits,
    draws: int,
    random: Random,
) -> tuple[float, float, float]:
    """Seconds from now: the expected start, and between what it most likely lies."""
    durations = Durations(known)
    found = []
    for _ in range(draws):
        runs = [
            RunWork(
                each.item,
                tuple(
                    StageWork(
                        stage.name,
                        durations.draw(stage.name, random, each.running.get(stage.name, 0.0)) or 0.0,
                        stage.after,
                        stage.gpus,
                        running=stage.name in each.running,
                    )
                    for stage in each.left
                ),
                each.in_progress,
            )
            for each in present
        ]
        found.append(start_times(runs, limits, [GPUS])[work.item.run_id])
    said = forecast(found, BEGIN)
    assert said is not None
    assert said.late is not None
    at_s, early_s, late_s = ((moment - BEGIN).total_seconds() for moment in (said.at, said.early, said.late))
    return at_s, early_s, late_s


def figures() -> Iterator[Figure]:
    """Over several weeks together."""
    checked = [each for seed in range(1, WEEKS + 1) for each in week(seed)]
    waited_h = statistics.median(each.waited_s for each in checked) / HOUR_S
    error_h = statistics.median(each.error_s for each in checked) / HOUR_S
    inside = 100 * sum(each.inside for each in checked) / len(checked)
    early = 100 * sum(each.waited_s < each.expected_s for each in checked) / len(checked)
    note = f"{len(checked)} runs that waited, of {WEEKS * RUNS_A_WEEK} in {WEEKS} simulated weeks"
    yield Figure("queue_median_wait", round(waited_h, 2), "h", "", None, note)
    yield Figure("queue_expected_start_median_error", round(error_h, 2), "h", "", None, "expected against real start")
    yield Figure("queue_starts_earlier_than_expected", round(early), "%", "", None, "50 % would be without a bias")
    goal = "between 70 and 90"
    yield Figure(
        "queue_starts_within_the_range_said", round(inside), "%", goal, 70 <= inside <= 90, "8 of 10 are meant"
    )
