"""A runner may be killed at any moment; the next one goes on, and nothing runs twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from attempts import Place, containers
from patience import until

from winslow_dagster.stages.task.model import StageTask

COUNTS_ITS_STARTS = """
echo start >> "$WINSLOW_OUTPUT_DIR/starts"
i=0; while [ $i -lt 400 ]; do echo "line $i"; i=$((i+1)); if [ $((i % 40)) = 0 ]; then sleep 0.05; fi; done
echo done >> "$WINSLOW_OUTPUT_DIR/starts"
"""

Moment = Callable[[Place, StageTask], object]
MOMENTS: dict[str, Moment] = {
    "before the inputs are there": lambda place, task: (place.directory(task).path / "runner.pid").exists(),
    "before the start": lambda place, task: (place.directory(task).work / "start.json").exists(),
    "while it starts": lambda place, task: (
        (place.directory(task).work / "container.json").exists()
        or (place.directory(task).work / "process" / "spec.json").exists()
    ),
    "when it runs": lambda place, task: place.phase(task) == "running",
    "while it prints": lambda place, task: place.printed(task) > 100,
    "when it has ended": lambda place, task: (place.directory(task).work / "end.json").exists(),
    "while it is stored": lambda place, task: place.phase(task) == "storing",
    "before it is cleared": lambda place, task: (place.directory(task).path / "outcome.json").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_runner_killed_at_any_moment_is_succeeded_by_the_next(place: Place, moment: str) -> None:
    task = place.task(COUNTS_ITS_STARTS)
    place.kill_runner_once(task, moment, lambda: MOMENTS[moment](place, task))
    result = place.serve(task)
    assert result.outcome == "succeeded", result.message
    assert place.text(result.outputs, "starts") == "start\ndone\n"
    assert place.lines(task) == [f"line {number}" for number in range(400)]
    assert place.left_over(task) == []


def test_runners_killed_one_after_the_other_lose_no_line(place: Place) -> None:
    task = place.task(COUNTS_ITS_STARTS)
    for least in (20, 80, 140, 200, 260):
        place.kill_runner_once(task, f"{least} lines", lambda least=least: place.printed(task) >= least)
    result = place.serve(task)
    assert place.text(result.outputs, "starts") == "start\ndone\n"
    assert place.lines(task) == [f"line {number}" for number in range(400)]


def test_a_stage_that_ended_while_no_runner_lived_is_not_run_again(place: Place) -> None:
    task = place.task('echo start >> "$WINSLOW_OUTPUT_DIR/starts"; sleep 0.5; exit 6')
    place.kill_runner_once(task, "it runs", lambda: place.phase(task) == "running")
    until("it has ended", lambda: ended(place, task))
    result = place.serve(task)
    assert (result.outcome, result.exit_code) == ("failed", 6)
    assert (place.directory(task).output / "starts").read_text() == "start\n"


def test_a_cancel_while_no_runner_lives_is_obeyed_by_the_next(place: Place) -> None:
    task = place.task("echo ready; while true; do sleep 1; done")
    place.kill_runner_once(task, "it runs", lambda: place.printed(task))
    place.directory(task).request_cancel("late")
    result = place.serve(task)
    assert (result.outcome, result.message) == ("cancelled", "late")
    assert place.left_over(task) == []


def test_a_time_limit_goes_on_while_no_runner_lives(place: Place) -> None:
    task = place.task("echo ready; while true; do sleep 1; done", timeout_s=2.0)
    place.kill_runner_once(task, "it runs", lambda: place.printed(task))
    assert place.serve(task).outcome == "timed_out"


def test_a_runner_killed_while_it_ends_the_stage_is_succeeded_by_one_that_goes_on_with_that(place: Place) -> None:
    task = place.task("trap '' TERM; echo ready; while true; do sleep 1; done", timeout_s=1.0, stop_grace_period_s=2.0)
    place.kill_runner_once(task, "it ends it", (place.directory(task).work / "stopping.json").exists)
    result = place.serve(task)
    assert result.outcome == "timed_out"
    assert place.left_over(task) == []


@pytest.mark.docker
def test_a_container_that_was_removed_from_outside_is_lost(docker_place: Place) -> None:
    task = docker_place.task("echo ready; while true; do sleep 1; done")
    docker_place.kill_runner_once(task, "it runs", lambda: docker_place.printed(task))
    (container,) = containers(f"label=winslow.task={task.task_id}")
    subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)
    result = docker_place.serve(task)
    assert (result.outcome, result.exit_code) == ("lost", None)
    assert "removed from outside" in result.message


@pytest.mark.docker
def test_a_container_killed_from_outside_is_lost_and_keeps_its_log(docker_place: Place) -> None:
    task = docker_place.task("echo ready; while true; do sleep 1; done")
    with docker_place.running(task):
        until("it runs", lambda: docker_place.printed(task))
        (container,) = containers(f"label=winslow.task={task.task_id}")
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        until("it has ended", docker_place.directory(task).result)
    result = docker_place.directory(task).result()
    assert result is not None
    assert (result.outcome, result.exit_code) == ("lost", 137)
    assert docker_place.lines(task) == ["ready"]


def test_a_process_whose_supervisor_was_killed_is_lost_and_leaves_nothing_running(process_place: Place) -> None:
    task = process_place.task("(sh -c 'while true; do sleep 1; done' &); echo ready; while true; do sleep 1; done")
    process_place.kill_runner_once(task, "it runs", lambda: process_place.printed(task))
    from winslow_dagster.stages.launchers.process.processes import SupervisorRecord
    from winslow_dagster.stages.task.directory import read_value

    record = process_place.directory(task).work / "process" / "process_supervisor.json"
    supervisor = read_value(record, SupervisorRecord)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    result = process_place.serve(task)
    assert result.outcome == "lost"
    assert process_place.left_over(task) == []


def ended(place: Place, task: StageTask) -> bool:
    if place.image is None:
        return (place.directory(task).work / "process" / "exit.json").exists()
    return (
        bool(containers(f"label=winslow.task={task.task_id}"))
        and not subprocess.run(
            ["docker", "ps", "-q", "--filter", f"label=winslow.task={task.task_id}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
