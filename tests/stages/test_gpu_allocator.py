"""GPUs are leased to one attempt at a time, in the order of asking. The GPUs are made up; locks and runners are not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from attempts import Place
from patience import until

from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.settings import Settings
from winslow_dagster.stages.gpu_allocator import write_node_gpus
from winslow_dagster.stages.launchers.process.processes import SupervisorRecord
from winslow_dagster.stages.task.directory import read_value
from winslow_dagster.stages.task.model import NodeGpu, StageTask

GIB = 1 << 30
HOLDS = 'echo "$WINSLOW_GPU_COUNT <$CUDA_VISIBLE_DEVICES>"; while true; do sleep 0.1; done'
SHOWS = 'echo "$WINSLOW_GPU_COUNT <$CUDA_VISIBLE_DEVICES>"'


def gpu(number: int, vendor: str = "nvidia", memory_gib: int = 24) -> NodeGpu:
    return NodeGpu(
        uuid=f"GPU-{number}", index=number, vendor=vendor, name=f"Card {number}", memory_bytes=memory_gib * GIB
    )


@pytest.fixture
def node(process_place: Place) -> Callable[..., Place]:
    """The place, on a machine with these GPUs."""

    def with_gpus(*gpus: NodeGpu) -> Place:
        write_node_gpus(process_place.home / "gpus", gpus)
        return process_place

    return with_gpus


def waits(place: Place, task: StageTask) -> bool:
    return place.reason(task).startswith("waiting for")


def test_a_stage_gets_as_many_as_it_asks_for_and_sees_no_other(node: Callable[..., Place]) -> None:
    place = node(gpu(0), gpu(1), gpu(2))
    task = place.task(SHOWS, gpu=Gpu(count=2))
    result = place.serve(task)
    assert place.lines(task) == ["2 <GPU-0,GPU-1>"]
    assert result.gpus == ("GPU-0", "GPU-1")


def test_vendor_and_memory_are_heeded(node: Callable[..., Place]) -> None:
    place = node(gpu(0, "amd"), gpu(1, memory_gib=8), gpu(2))
    task = place.task(SHOWS, gpu=Gpu(vendor="nvidia", memory_bytes=16 * GIB))
    place.serve(task)
    assert place.lines(task) == ["1 <GPU-2>"]


def test_a_stage_waits_and_says_for_whom_and_goes_on_when_a_gpu_is_free(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    first, second = place.task(HOLDS, gpu=Gpu()), place.task(SHOWS, gpu=Gpu())
    with place.running(first) as holder:
        until("the first runs", lambda: place.printed(first))
        with place.running(second) as waiter:
            until("the second waits", lambda: waits(place, second))
            assert place.phase(second) == "waiting"
            assert place.reason(second).startswith("waiting for a GPU: 1 of 1 in use by ulm-07/detect (")
            place.directory(first).request_cancel("enough")
            assert (holder.wait(), waiter.wait()) == (0, 0)
    assert place.lines(second) == ["1 <GPU-0>"]


def test_a_lost_gpu_keeps_nobody_from_those_that_are_there(node: Callable[..., Place]) -> None:
    place = node(gpu(0), gpu(1))
    wishes = ((2, "a"), (2, "b"), (1, "c"))
    holder, both, one = (place.task(HOLDS, gpu=Gpu(count=count), stage=name) for count, name in wishes)
    with place.running(holder) as first:
        until("a runs", lambda: place.printed(holder))
        with place.running(both) as second:
            until("b waits", lambda: waits(place, both))
            with place.running(one):
                until("c waits behind b", lambda: "queued behind ulm-07/b" in place.reason(one))
                write_node_gpus(place.home / "gpus", [gpu(1)])
                until("b says what is lost", lambda: "1 of 2 not found on this machine" in place.reason(both))
                place.directory(holder).request_cancel("")
                assert first.wait() == 0
                until("c runs", lambda: place.printed(one))
                assert place.lines(one) == ["1 <GPU-1>"]
                write_node_gpus(place.home / "gpus", [gpu(0), gpu(1)])
                place.directory(one).request_cancel("")
                until("b runs, as its GPU is back", lambda: place.printed(both))
                place.directory(both).request_cancel("")
                assert second.wait() == 0


def test_who_asked_first_is_served_first_and_a_small_wish_does_not_overtake_a_big_one(
    node: Callable[..., Place],
) -> None:
    place = node(gpu(0), gpu(1))
    wishes = ((1, "a"), (2, "b"), (1, "c"))
    holder, both, one = (place.task(HOLDS, gpu=Gpu(count=count), stage=name) for count, name in wishes)
    with place.running(holder) as first:
        until("a runs", lambda: place.printed(holder))
        with place.running(both) as second:
            until("b waits", lambda: waits(place, both))
            with place.running(one):
                until("c waits behind b, though a GPU is free", lambda: "queued behind ulm-07/b" in place.reason(one))
                place.directory(holder).request_cancel("")
                assert first.wait() == 0
                until("b runs", lambda: place.printed(both))
                assert place.lines(both) == ["2 <GPU-0,GPU-1>"]
                assert place.printed(one) == 0
                place.directory(both).request_cancel("")
                assert second.wait() == 0
                until("c runs", lambda: place.printed(one))
                place.directory(one).request_cancel("")
                until("c has ended", place.directory(one).result)


def test_a_stage_that_needs_no_gpu_starts_while_others_wait_for_one(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    holder, waiter = (place.task(HOLDS, gpu=Gpu(), stage=name) for name in ("a", "b"))
    with place.running(holder):
        until("a runs", lambda: place.printed(holder))
        with place.running(waiter):
            until("b waits", lambda: waits(place, waiter))
            assert place.run(SHOWS).outcome == "succeeded"
            for task in (waiter, holder):
                place.directory(task).request_cancel("")
                until("it has ended", place.directory(task).result)


def test_a_higher_priority_goes_before_those_that_asked_earlier(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    holder, usual = (place.task(HOLDS, gpu=Gpu(), stage=name) for name in ("a", "b"))
    urgent = place.task(HOLDS, gpu=Gpu(), stage="c", priority=5)
    with place.running(holder):
        until("a runs", lambda: place.printed(holder))
        with place.running(usual):
            until("b waits", lambda: waits(place, usual))
            with place.running(urgent):
                until("b is behind c", lambda: "queued behind ulm-07/c" in place.reason(usual))
                place.directory(holder).request_cancel("")
                until("c runs", lambda: place.printed(urgent))
                assert place.printed(usual) == 0
                for task in (urgent, usual):
                    place.directory(task).request_cancel("")
                    until("it has ended", place.directory(task).result)


def test_those_that_wait_can_be_reordered(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    holder, early, late = (place.task(HOLDS, gpu=Gpu(), stage=name) for name in ("a", "b", "c"))
    with place.running(holder):
        until("a runs", lambda: place.printed(holder))
        with place.running(early):
            until("b waits", lambda: waits(place, early))
            with place.running(late):
                until("c is behind b", lambda: "queued behind ulm-07/b" in place.reason(late))
                LocalEngine(Settings.read({"WINSLOW_HOME": str(place.home)})).set_priorities(
                    {early.task_id: 1, late.task_id: 2}
                )
                until("b is behind c", lambda: "queued behind ulm-07/c" in place.reason(early))
                place.directory(holder).request_cancel("")
                until("c runs", lambda: place.printed(late))
                assert place.printed(early) == 0
                for task in (late, early):
                    place.directory(task).request_cancel("")
                    until("it has ended", place.directory(task).result)


def test_a_stage_keeps_its_gpu_while_its_runner_is_dead(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    first, second = place.task(HOLDS, gpu=Gpu()), place.task(SHOWS, gpu=Gpu())
    place.kill_runner_once(first, "the first runs", lambda: place.printed(first))
    with place.running(second) as waiter:
        until("the second waits", lambda: waits(place, second))
        with place.running(first) as successor:
            until("the successor holds it", place.directory(first).runner_alive)
            assert waiter.poll() is None
            place.directory(first).request_cancel("")
            assert successor.wait() == 0
        assert waiter.wait() == 0
    result = place.directory(first).result()
    assert result is not None
    assert result.gpus == ("GPU-0",)


def test_a_gpu_is_free_again_when_runner_and_stage_are_both_dead(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    first, second = place.task(HOLDS, gpu=Gpu()), place.task(SHOWS, gpu=Gpu())
    place.kill_runner_once(first, "the first runs", lambda: place.printed(first))
    supervisor = read_value(place.directory(first).work / "process" / "process_supervisor.json", SupervisorRecord)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert place.serve(second).outcome == "succeeded"
    assert place.serve(first).outcome == "lost"


def test_a_waiter_whose_runner_was_killed_has_its_place_again(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    holder, early, late = (place.task(HOLDS, gpu=Gpu(), stage=name) for name in ("a", "b", "c"))
    with place.running(holder):
        until("a runs", lambda: place.printed(holder))
        place.kill_runner_once(early, "b waits", lambda: waits(place, early))
        with place.running(late):
            until("c waits", lambda: waits(place, late))
            assert "after" not in place.reason(late)
            with place.running(early):
                until("c is behind b again", lambda: "queued behind ulm-07/b" in place.reason(late))
                for task in (late, early, holder):
                    place.directory(task).request_cancel("")
                    until("it has ended", place.directory(task).result)


def test_a_waiter_can_be_cancelled(node: Callable[..., Place]) -> None:
    place = node(gpu(0))
    holder, waiter = place.task(HOLDS, gpu=Gpu()), place.task(SHOWS, gpu=Gpu())
    with place.running(holder):
        until("it runs", lambda: place.printed(holder))
        with place.running(waiter) as runner:
            until("it waits", lambda: waits(place, waiter))
            place.directory(waiter).request_cancel("no time")
            assert runner.wait() == 0
        place.directory(holder).request_cancel("")
        until("both have ended", place.directory(holder).result)
    result = place.directory(waiter).result()
    assert result is not None
    assert (result.outcome, result.message) == ("cancelled", "no time")
    assert list((place.home / "gpus" / "queue").iterdir()) == []


def test_more_than_the_machine_has_fails_at_once(node: Callable[..., Place]) -> None:
    place = node(gpu(0), gpu(1, "amd"))
    result = place.run(SHOWS, gpu=Gpu(count=2, vendor="nvidia"))
    assert result.outcome == "failed"
    assert "the stage needs 2 nvidia GPUs, but this machine has 1" in result.message
    assert "Card 1 (amd, 24 GiB)" in result.message


def test_a_stage_that_can_do_without_runs_on_the_cpu_and_the_log_says_so(node: Callable[..., Place]) -> None:
    place = node()
    task = place.task(SHOWS, gpu=Gpu(optional=True))
    assert place.serve(task).gpus == ()
    assert place.lines(task) == ["0 <>"]
    assert "runs on the CPU" in place.runner_lines(task)


def test_nobody_having_looked_for_gpus_counts_as_none(process_place: Place) -> None:
    assert "this machine has 0" in process_place.run(SHOWS, gpu=Gpu()).message


def test_what_the_node_has_is_read_back(tmp_path: Path) -> None:
    from winslow_dagster.stages.gpu_allocator import read_node_gpus

    write_node_gpus(tmp_path, [gpu(0), gpu(1, "intel")])
    assert read_node_gpus(tmp_path) == (gpu(0), gpu(1, "intel"))
