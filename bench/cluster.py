"""A simulated cluster with our own queue rules: how busy its GPUs are, and whether anybody waits for too long.

100 machines of four GPUs get 10,000 runs, each with a stage that needs one, two or four GPUs of a machine, between two
short ones that need none. One owner queues four thousand of them at once; nine others queue theirs over ten days.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from random import Random

from bench.figure import Figure
from bench.queue_forecast import AFTER, HOUR_S, MEAN_S, MEDIAN_S, SHORT_S, SHORT_SIGMA, SIGMA
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits
from winslow_dagster.projects.domain.queue_shares import QueueShares
from winslow_dagster.projects.status.queue_simulation import QueueSimulation, RunWork, StageWork

MACHINES = [4] * 100
GPUS = sum(MACHINES)
RUNS = 10_000
OWNERS = 10
FIRST = "owner-0"
OF_THE_FIRST = 4_000
OVER_S = 240 * HOUR_S
WANTED = {1: 0.80, 2: 0.12, 4: 0.08}
"""How many GPUs, and how often."""
GOAL_BUSY = 0.95


def work(number: int, owner: str, queued_at_s: float, random: Random) -> RunWork:
    """A run with durations drawn from log-normal distributions."""
    (gpus,) = random.choices(list(WANTED), list(WANTED.values()))

    def stage(name: str, after: tuple[str, ...]) -> StageWork:
        if name == "detect":
            return StageWork(name, random.lognormvariate(math.log(MEDIAN_S), SIGMA), after, gpus)
        return StageWork(name, random.lognormvariate(math.log(SHORT_S), SHORT_SIGMA), after)

    return RunWork(
        QueueItem(f"{owner}-{number}", needs_gpu=True, sharer=owner),
        tuple(stage(name, after) for name, after in AFTER.items()),
        queued_at_s=queued_at_s,
    )


def workload(seed: int) -> list[RunWork]:
    """All runs, in the order in which they are queued."""
    random = Random(seed)
    runs = [work(number, FIRST, 0.0, random) for number in range(OF_THE_FIRST)]
    for number in range(OF_THE_FIRST, RUNS):
        owner = f"owner-{1 + number % (OWNERS - 1)}"
        runs.append(work(number, owner, random.uniform(0, OVER_S), random))
    return sorted(runs, key=lambda each: each.queued_at_s)


def detect_of(run: RunWork) -> StageWork:
    return next(stage for stage in run.stages if stage.name == "detect")


def starts_s(runs: Sequence[RunWork], machines: Sequence[int], shares: QueueShares) -> dict[str, float]:
    """Run id -> when its stage with GPUs starts."""
    done = QueueSimulation(runs, QueueLimits.of(sum(machines) * ["nvidia"]), machines, shares).run()
    return {run.item.run_id: done.stage_starts_s[run.item.run_id, "detect"] for run in runs}


def busy(runs: Sequence[RunWork], starts: dict[str, float]) -> tuple[float, float]:
    """The share of all GPUs that is in use while there are stages for all of them, and how many hours that is.

    A stage is there once the stage before it can have ended, at the earliest. No schedule has more than all GPUs in
    use.
    """
    changes: list[tuple[float, int, int]] = []  # when, wanted, used
    for run in runs:
        stage = detect_of(run)
        began_s = starts[run.item.run_id]
        ended_s = began_s + stage.duration_s
        before_s = sum(each.duration_s for each in run.stages if each.name == "extract")
        changes += [
            (run.queued_at_s + before_s, stage.gpus, 0),
            (began_s, 0, stage.gpus),
            (ended_s, -stage.gpus, -stage.gpus),
        ]
    wanted = used = 0
    at_s = used_s = in_all_s = 0.0
    for when_s, more_wanted, more_used in sorted(changes):
        if wanted >= GPUS:
            in_all_s += when_s - at_s
            used_s += used * (when_s - at_s)
        at_s, wanted, used = when_s, wanted + more_wanted, used + more_used
    return used_s / (GPUS * in_all_s), in_all_s / HOUR_S


def figures() -> Iterator[Figure]:
    """One simulated history."""
    runs = workload(1)
    starts = starts_s(runs, MACHINES, QueueShares("owner"))
    used, hours = busy(runs, starts)
    yield Figure(
        "cluster_gpus_busy",
        round(used, 3),
        "ratio",
        f">= {GOAL_BUSY}",
        used >= GOAL_BUSY,
        f"of {GPUS} GPUs, in the {hours:.0f} hours in which stages for all of them are there; no schedule exceeds 1",
    )
    excess_h = sorted((starts[run_id] - alone_s) / HOUR_S for run_id, alone_s in alone(runs).items())
    too_long = sum(each > MEAN_S / HOUR_S for each in excess_h)
    yield Figure(
        "cluster_stages_that_wait_longer_than_their_share_allows",
        too_long,
        "stages",
        "0",
        too_long == 0,
        f"of {RUNS}: longer than if its owner had a tenth of the machines alone, plus the {MEAN_S / HOUR_S:g} hours "
        "of an average stage, because nothing that runs is stopped for a share",
    )
    yield Figure("cluster_longest_wait_beyond_its_share", round(excess_h[-1], 2), "h", "", None)
    in_999 = round(excess_h[int(0.999 * len(excess_h))], 2)
    yield Figure("cluster_wait_beyond_its_share_of_999_in_1000", in_999, "h", "", None)
    yield from waits("with_shares", runs, starts)
    yield from waits("first_come_first_served", runs, starts_s(runs, MACHINES, QueueShares()))


def alone(runs: Sequence[RunWork]) -> dict[str, float]:
    """Run id -> when its stage with GPUs would start if each owner had its share of the machines alone."""
    part = MACHINES[: len(MACHINES) // OWNERS]
    found: dict[str, float] = {}
    for owner in {run.item.sharer for run in runs}:
        found |= starts_s([run for run in runs if run.item.sharer == owner], part, QueueShares())
    return found


def waits(name: str, runs: Sequence[RunWork], starts: dict[str, float]) -> Iterator[Figure]:
    """From the queueing of a run to the start of its stage with GPUs."""
    for whose, of_first in (("one_who_queues_4000_at_once", True), ("the_nine_others", False)):
        own = [run for run in runs if (run.item.sharer == FIRST) == of_first]
        waited_s = [starts[run.item.run_id] - run.queued_at_s for run in own]
        yield Figure(
            f"cluster_wait_of_nine_in_ten_runs_of_{whose}_{name}",
            round(statistics.quantiles(waited_s, n=10)[-1] / HOUR_S, 2),
            "h",
            "",
            None,
        )
