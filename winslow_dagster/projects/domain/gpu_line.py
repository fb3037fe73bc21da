"""The rule of the line for GPUs: which of the waiting stages get theirs now, and on which machine.

Stages are served in the order of the line. One for which no machine has enough free GPUs keeps the machine on which
most are free: nobody behind it gets GPUs there. So several GPUs come together for it, and meanwhile the others use the
rest. On one machine that means that nobody overtakes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from winslow_dagster.projects.domain.queue_shares import QueueShares
from winslow_dagster.stages.task.model import PRIORITY_STEP


@dataclass(frozen=True, slots=True)
class Placement:
    """A stage of the line, by its place there, and its machine."""

    place: int
    machine: int


class GpuMachines:
    """How many GPUs each machine has free."""

    def __init__(self, gpus: Sequence[int]) -> None:
        self._gpus = tuple(gpus)
        self.free = list(gpus)

    def take(self, machine: int, gpus: int) -> None:
        """A stage has so many of a machine from now on."""
        self.free[machine] -= gpus

    def give_back(self, machine: int, gpus: int) -> None:
        """It has ended."""
        self.free[machine] += gpus

    @property
    def any_free(self) -> bool:
        """Whether a GPU is free anywhere."""
        return any(free > 0 for free in self.free)

    def most_free(self) -> int:
        """The machine with the most free GPUs."""
        return max(range(len(self.free)), key=self.free.__getitem__)

    def serve(self, wanted: Iterable[int]) -> list[Placement]:
        """Take GPUs for stages that want so many each, in the order of the line."""
        found: list[Placement] = []
        open_machines = {machine for machine, free in enumerate(self.free) if free > 0}
        kept: set[int] = set()
        for place, gpus in enumerate(wanted):
            if not open_machines:
                break
            fitting = [machine for machine in open_machines if self.free[machine] >= gpus]
            if not fitting:
                able = [machine for machine, all_of_it in enumerate(self._gpus) if all_of_it >= gpus]
                able = [machine for machine in able if machine not in kept]
                if able:
                    keeps = max(able, key=self.free.__getitem__)
                    kept.add(keeps)
                    open_machines.discard(keeps)
                continue
            # Where the fewest remain, so that whole machines stay free for stages that want many.
            machine = min(fitting, key=lambda each: (self.free[each], each))
            self.take(machine, gpus)
            found.append(Placement(place, machine))
            if not self.free[machine]:
                open_machines.discard(machine)
        return found


@dataclass(frozen=True, slots=True)
class WaitingStage:
    """A stage that waits for GPUs, and whose share they are taken from."""

    task_id: str
    gpus: int
    sharer: str = ""
    priority: int = 0


def line_numbers(
    waiting: Sequence[WaitingStage], held: Mapping[str, int], shares: QueueShares, first: str | None
) -> dict[str, int]:
    """Task id -> a number for each waiting stage; the highest goes first, and of equal ones who came first.

    They are given in the order in which they came. Within a priority, it goes first whose sharer holds the fewest GPUs
    with those that it would have got before. The one that was `first` so far stays it: GPUs may be kept for it.
    """
    taken = Counter(dict(held))
    numbers: dict[str, int] = {}
    for stage in sorted(waiting, key=lambda each: -each.priority):
        turn = shares.use(stage.sharer, taken[stage.sharer], needs_gpu=True)[0] if shares.apply else 0.0
        taken[stage.sharer] += stage.gpus
        behind = 0 if stage.task_id == first else 1 + min(int(turn), PRIORITY_STEP - 2)
        numbers[stage.task_id] = (stage.priority + 1) * PRIORITY_STEP - 1 - behind
    return numbers
