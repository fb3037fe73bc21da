"""Expected starts: the queue simulated forward."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from bench.queue_forecast import week
from winslow_dagster.engines.engine import Node, NodeGpu
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules
from winslow_dagster.projects.domain.queue_rules import QueueItem, QueueLimits, in_order, places_of, starting
from winslow_dagster.projects.status.durations import Durations, forecast
from winslow_dagster.projects.status.queue_simulation import QueueSimulation, RunWork, StageWork, start_times
from winslow_dagster.projects.status.queue_work import impossible

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FEW = QueueLimits(runs=2, gpu_runs=1)


def run(name: str, *stages: StageWork, in_progress: bool = False, queued_at_s: float = 0.0, **rule: object) -> RunWork:
    needs_gpu = any(stage.gpus for stage in stages)
    return RunWork(QueueItem(name, needs_gpu=needs_gpu, **rule), stages, in_progress, queued_at_s)  # type: ignore[arg-type]


def cpu(duration_s: float, **more: object) -> StageWork:
    return StageWork("work", duration_s, **more)  # type: ignore[arg-type]


def gpu(duration_s: float, count: int = 1, **more: object) -> StageWork:
    return StageWork("detect", duration_s, gpus=count, **more)  # type: ignore[arg-type]


def test_limits_follow_the_gpus_that_there_are() -> None:
    assert QueueLimits.of([]) == QueueLimits(runs=20, gpu_runs=2)
    assert QueueLimits.of(["amd"]) == QueueLimits(runs=20, gpu_runs=2, vendors={"amd": 1})
    mixed = QueueLimits.of(["nvidia", "amd", "nvidia", "nvidia"])
    assert (mixed.runs, mixed.gpu_runs) == (26, 8)
    assert [mixed.of_vendor(vendor) for vendor in ("nvidia", "amd", "intel")] == [6, 2, 2]


def test_a_higher_priority_goes_first_and_within_one_who_came_first() -> None:
    waiting = [QueueItem("a"), QueueItem("b", priority=1), QueueItem("c"), QueueItem("d", priority=1)]

    assert [item.run_id for item in in_order(waiting, places_of(FEW, []))] == ["b", "d", "a", "c"]


def test_a_run_that_a_limit_keeps_does_not_keep_those_behind_it() -> None:
    waiting = [
        QueueItem("held", priority=9, held=True),
        QueueItem("gpu", needs_gpu=True),
        QueueItem("swept", sweeps=(("s", 1),)),
        QueueItem("free"),
    ]
    places = places_of(QueueLimits(5, 1), [QueueItem("x", needs_gpu=True), QueueItem("y", sweeps=(("s", 1),))])

    assert [item.run_id for item in starting(waiting, places)] == ["free"]
    assert [places.limit(item) for item in waiting[:3]] == ["held", "gpu_runs", "sweep"]


def test_a_waiting_run_starts_when_one_before_it_ends() -> None:
    runs = [run("a", cpu(10, running=True), in_progress=True), run("b", cpu(5)), run("c", cpu(1)), run("d", cpu(1))]

    assert start_times(runs, FEW, [0]) == {"b": 0, "c": 5, "d": 6}


def test_gpus_are_given_in_the_order_of_arrival_and_nobody_overtakes() -> None:
    limits = QueueLimits(9, 9)
    runs = [
        run("one", gpu(10, running=True), in_progress=True),
        run("both", gpu(5, 2), in_progress=True),
        run("small", gpu(1), in_progress=True),
    ]

    simulation = QueueSimulation(runs, limits, [2]).run()

    # The second GPU is free all the time, and is kept for the one that needs both.
    assert simulation.ends_s == {"one": 10, "both": 15, "small": 16}


def test_several_gpus_come_together_on_one_machine_while_others_use_the_rest() -> None:
    limits = QueueLimits(9, 9)
    runs = [
        *(run(name, gpu(10, running=True), in_progress=True) for name in ("one", "two", "three")),
        run("both", gpu(5, 2), in_progress=True),
        *(run(name, gpu(4), in_progress=True) for name in ("small", "smaller")),
    ]

    simulation = QueueSimulation(runs, limits, [2, 2]).run()

    # One GPU is free on a machine, which is kept for the one that needs both.
    assert simulation.stage_starts_s["both", "detect"] == 10
    assert sorted(simulation.ends_s.values()) == [10, 10, 10, 14, 14, 15]


def test_a_higher_priority_goes_first_to_a_gpu_too() -> None:
    runs = [
        run("one", gpu(10, running=True), in_progress=True),
        run("two", gpu(1), in_progress=True),
        run("urgent", gpu(1), in_progress=True, priority=1),
    ]

    assert QueueSimulation(runs, QueueLimits(9, 9), [1]).run().ends_s == {"one": 10, "urgent": 11, "two": 12}


def test_a_stage_starts_when_all_before_it_have_ended() -> None:
    stages = (StageWork("a", 3), StageWork("b", 5), StageWork("c", 1, ("a", "b")))

    assert QueueSimulation([run("r", *stages)], FEW, [0]).run().ends_s == {"r": 6}


def test_nobody_knows_when_a_run_starts_behind_one_that_takes_nobody_knows_how_long() -> None:
    runs = [run(name, cpu(math.inf, running=True), in_progress=True) for name in "ab"]

    assert start_times([*runs, run("c", cpu(1))], FEW, [0]) == {"c": math.inf}


def test_a_held_run_is_expected_never_to_start_and_others_pass_it() -> None:
    assert start_times([run("a", cpu(1), held=True), run("b", cpu(1))], FEW, [0]) == {"a": math.inf, "b": 0}


def test_a_simulation_that_goes_on_from_a_moment_ends_as_one_from_the_beginning() -> None:
    random = Random(1)
    works = [
        run(f"r{number}", cpu(random.uniform(1, 9)), gpu(random.uniform(1, 9), after=("work",)), queued_at_s=number / 2)
        for number in range(30)
    ]
    whole = QueueSimulation(works, QueueLimits(6, 4), [2]).run()
    until = QueueSimulation(works, QueueLimits(6, 4), [2]).run(14.5)
    rest = [
        RunWork(
            each.item,
            tuple(
                StageWork(
                    stage.name,
                    stage.duration_s - each.running.get(stage.name, 0),
                    stage.after,
                    stage.gpus,
                    stage.name in each.running,
                )
                for stage in each.left
            ),
            each.in_progress,
        )
        for each in until.under_way()
    ]
    assert any(each.in_progress for each in until.under_way())
    waiting = {each.item.run_id for each in until.under_way() if not each.in_progress}

    found = QueueSimulation(rest, QueueLimits(6, 4), [2]).run().starts_s

    assert waiting
    assert {name: found[name] + 14.5 for name in waiting} == pytest.approx(
        {name: whole.starts_s[name] for name in waiting}
    )


def test_what_is_left_of_a_stage_depends_on_how_long_it_runs() -> None:
    durations = Durations({"p/s": [10.0, 20.0, 100.0]})

    assert {durations.draw("p/s", Random(seed)) for seed in range(50)} == {10.0, 20.0, 100.0}
    assert {durations.draw("p/s", Random(seed), 15.0) for seed in range(50)} == {5.0, 85.0}
    assert durations.draw("p/s", Random(0), 300.0) == 300.0
    assert durations.draw("p/unknown", Random(0)) is None


def test_with_many_attempts_the_spread_of_durations_is_smooth_and_never_ends() -> None:
    random = Random(7)
    durations = Durations({"p/s": [random.lognormvariate(8, 1.5) for _ in range(100)]})

    drawn = sorted(durations.draw("p/s", random) or 0 for _ in range(999))
    left = sorted(durations.draw("p/s", random, 20 * math.exp(8)) or 0 for _ in range(999))

    assert 0.5 * math.exp(8) < drawn[500] < 2 * math.exp(8)
    # Whoever has run for very long is expected to run on for long.
    assert 5 * math.exp(8) < left[500] < 40 * math.exp(8)
    assert len(set(drawn)) == len(drawn)


def test_a_forecast_says_between_what_eight_of_ten_draws_lie() -> None:
    said = forecast([float(second) for second in range(101)], NOW)
    assert said is not None
    assert (said.at, said.early, said.late) == tuple(NOW + timedelta(seconds=each) for each in (50, 10, 90))
    assert forecast([1.0, math.inf, math.inf], NOW) is None
    unsure = forecast([1.0, 2.0, math.inf], NOW)
    assert unsure is not None
    assert unsure.late is None


def test_what_no_machine_can_run_is_named() -> None:
    card = NodeGpu(uuid="g", index=0, vendor="nvidia", name="H", memory_bytes=8 << 30)
    nodes = (
        Node(name="n", cpus=1, memory_bytes=1, gpus=(card,), tags=("fast",)),
        Node(name="m", cpus=1, memory_bytes=1),
    )

    def stage(**fields: object) -> Stage:
        return Stage(name="detect", log=LogRules(), **fields)  # type: ignore[arg-type]

    assert impossible(stage(gpu=Gpu()), nodes) == ""
    assert impossible(stage(gpu=Gpu(count=2, optional=True)), nodes) == ""
    assert impossible(stage(gpu=Gpu(count=2)), nodes) == ("detect needs 2 GPUs, and no machine has more than 1")
    assert "amd GPU" in impossible(stage(gpu=Gpu(vendor="amd")), nodes)
    assert "16 GiB each" in impossible(stage(gpu=Gpu(memory_bytes=16 << 30)), nodes)
    assert impossible(stage(node_tags=("slow",)), nodes) == (
        "detect needs a machine with the tags slow, and there is none"
    )


def test_expected_starts_over_a_simulated_week_are_as_good_as_they_say() -> None:
    checked = [each for seed in range(1, 6) for each in week(seed, draws=10, every=4)]

    assert len(checked) >= 15
    # Eight of ten are meant; with so few runs and simulations it may be some less.
    assert sum(each.inside for each in checked) / len(checked) >= 0.5
