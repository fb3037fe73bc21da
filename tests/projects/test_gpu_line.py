"""In which order stages that wait for GPUs are served, and on which machines."""

from __future__ import annotations

from winslow_dagster.projects.domain.gpu_line import GpuMachines, WaitingStage, line_numbers
from winslow_dagster.projects.domain.queue_shares import QueueShares

BY_OWNER = QueueShares("owner")


def order(
    *stages: WaitingStage, held: dict[str, int] | None = None, shares: QueueShares = BY_OWNER, first: str | None = None
) -> list[str]:
    numbers = line_numbers(stages, held or {}, shares, first)
    return sorted(numbers, key=lambda task: -numbers[task])  # stable, as engines are


def test_whoever_holds_the_fewest_gpus_goes_first_and_then_they_take_turns() -> None:
    stages = [WaitingStage(f"{owner}{n}", 1, owner) for owner, n in (("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1))]

    assert order(*stages, held={"a": 1}) == ["b1", "c1", "a1", "b2", "a2"]


def test_a_stage_with_several_gpus_counts_as_several() -> None:
    stages = [
        WaitingStage("a1", 4, "a"),
        WaitingStage("a2", 1, "a"),
        *(WaitingStage(f"b{n}", 1, "b") for n in range(5)),
    ]

    assert order(*stages) == ["a1", "b0", "b1", "b2", "b3", "a2", "b4"]


def test_the_first_in_the_line_stays_it_so_that_one_with_many_gpus_does_not_starve() -> None:
    big, small = WaitingStage("big", 4, "a"), WaitingStage("small", 1, "b")

    assert order(big, small, held={"a": 1}) == ["small", "big"]
    assert order(big, small, held={"a": 1}, first="big") == ["big", "small"]


def test_a_higher_priority_goes_before_shares_and_before_the_first() -> None:
    urgent, usual = WaitingStage("urgent", 1, "a", priority=1), WaitingStage("usual", 1, "b")

    assert order(usual, urgent, held={"a": 9999}, first="usual") == ["urgent", "usual"]


def test_where_nobody_takes_turns_they_go_in_the_order_in_which_they_came() -> None:
    stages = [WaitingStage(f"{owner}{n}", 1) for owner in "ab" for n in range(3)]

    assert order(*stages, held={"": 7}, shares=QueueShares()) == [each.task_id for each in stages]


def test_stages_go_where_the_fewest_gpus_remain_so_that_whole_machines_stay_free() -> None:
    machines = GpuMachines([4, 4])
    machines.take(1, 2)

    assert [each.machine for each in machines.serve([1, 1, 4])] == [1, 1, 0]


def test_a_stage_that_fits_nowhere_yet_keeps_one_machine_and_the_others_are_used() -> None:
    machines = GpuMachines([2, 2, 2])
    for machine in range(3):
        machines.take(machine, 1)

    served = machines.serve([2, 1, 1, 1])

    assert [(each.place, each.machine) for each in served] == [(1, 1), (2, 2)]
    machines.give_back(0, 1)
    assert [(each.place, each.machine) for each in machines.serve([2, 1])] == [(0, 0)]


def test_a_stage_that_no_machine_can_ever_run_keeps_none() -> None:
    assert [each.place for each in GpuMachines([1, 1]).serve([2, 1, 1])] == [1, 2]
