"""The contract of every engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_drivers import Driver, LocalDriver, MemoryDriver, SlurmDriver, a_task
from patience import until

from winslow_dagster.engines.engine import Orphan
from winslow_dagster.errors import EngineError, NotFound
from winslow_dagster.stages.log import StreamMirror


@pytest.fixture(
    params=[
        pytest.param(LocalDriver, id="local"),
        pytest.param(MemoryDriver, id="memory"),
        pytest.param(SlurmDriver, id="slurm", marks=[pytest.mark.slurm, pytest.mark.slow]),
    ]
)
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    with request.param.set_up(request) as driver:
        yield driver


def test_a_task_that_was_never_submitted_is_not_known(driver: Driver) -> None:
    state = driver.engine.status("run.nothing.1")

    assert (state.known, state.runner_alive, state.status, state.result) == (False, False, None, None)
    assert driver.engine.explain("run.nothing.1") == "It is about to be started."


def test_a_submitted_task_is_served(driver: Driver) -> None:
    driver.engine.submit(a_task())

    assert driver.engine.status(a_task().task_id).served


def test_its_status_is_what_its_runner_says(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())

    status = driver.engine.status(a_task().task_id).status

    assert status is not None
    assert status.phase == "running"
    assert driver.engine.explain(a_task().task_id) == "it waits for the test"


def test_waiting_ends_with_the_result(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.end(a_task())

    state = driver.engine.wait(a_task().task_id, timeout_s=60)

    assert state.result is not None
    assert state.result.outcome == "succeeded"
    assert driver.engine.explain(a_task().task_id) == ""
    assert driver.engine.status(a_task().task_id).result == state.result


def test_waiting_ends_with_its_time_while_the_task_goes_on(driver: Driver) -> None:
    driver.engine.submit(a_task())

    assert driver.engine.wait(a_task().task_id, timeout_s=0.05).served


def test_waiting_ends_when_the_runner_is_dead(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())
    driver.kill_runner(a_task())

    state = driver.engine.wait(a_task().task_id, timeout_s=60)

    assert not state.runner_alive
    assert state.result is None
    assert "a replacement is starting" in driver.engine.explain(a_task().task_id)


def test_submitting_again_changes_nothing_while_a_runner_serves(driver: Driver) -> None:
    for _ in range(5):
        driver.engine.submit(a_task())
    driver.until_running(a_task())

    assert driver.runners_started(a_task()) == 1


def test_submitting_again_starts_another_runner_where_it_is_dead(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())
    driver.kill_runner(a_task())
    driver.engine.wait(a_task().task_id, timeout_s=60)

    driver.engine.submit(a_task())

    driver.end(a_task())
    assert driver.outcome(a_task()) == "succeeded"


def test_a_task_that_has_ended_never_runs_again(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.end(a_task())
    first = driver.engine.wait(a_task().task_id, timeout_s=60).result

    driver.engine.submit(a_task())

    assert driver.engine.status(a_task().task_id).result == first
    assert driver.runners_started(a_task()) == 1


def test_another_attempt_under_the_same_id_is_refused(driver: Driver) -> None:
    driver.engine.submit(a_task())

    with pytest.raises(EngineError, match="another task has this id"):
        driver.engine.submit(a_task().model_copy(update={"stage": "other"}))


def test_the_same_attempt_goes_on_as_it_was_first_submitted(driver: Driver) -> None:
    driver.engine.submit(a_task())

    driver.engine.submit(a_task().model_copy(update={"env_layers": ({"CHANGED": "meanwhile"},)}))

    assert driver.submitted(a_task()) == a_task()


def test_a_cancelled_task_ends_with_the_reason(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())

    driver.engine.cancel(a_task().task_id, "not needed any more")
    driver.engine.cancel(a_task().task_id, "a second reason")

    result = driver.engine.wait(a_task().task_id, timeout_s=60).result
    assert result is not None
    assert (result.outcome, result.message) == ("cancelled", "not needed any more")


def test_a_task_whose_runner_is_dead_can_be_cancelled(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())
    driver.kill_runner(a_task())

    driver.engine.cancel(a_task().task_id, "not needed any more")

    assert driver.outcome(a_task()) == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.end(a_task())
    driver.engine.wait(a_task().task_id, timeout_s=60)

    driver.engine.cancel(a_task().task_id, "too late")

    assert driver.outcome(a_task()) == "succeeded"


def test_cancelling_what_was_never_submitted_is_an_error(driver: Driver) -> None:
    with pytest.raises(EngineError, match=r"run\.nothing\.1: the task was never submitted"):
        driver.engine.cancel("run.nothing.1", "why ever")


def test_cancelling_a_run_ends_its_unfinished_tasks_and_no_other(driver: Driver) -> None:
    finished, running, other = a_task("finished"), a_task("running"), a_task("running", run_id="run-2")
    for task in (finished, running, other):
        driver.engine.submit(task)
    driver.end(finished)
    driver.engine.wait(finished.task_id, timeout_s=60)

    driver.engine.cancel_run("run", "the run was cancelled")

    assert driver.outcome(running) == "cancelled"
    assert driver.outcome(finished) == "succeeded"
    assert driver.engine.status(other.task_id).served


def test_a_task_whose_runners_die_again_and_again_is_lost(driver: Driver) -> None:
    driver.let_runners_die(a_task())
    starts = 0
    while driver.engine.wait(a_task().task_id, timeout_s=60).result is None:
        driver.engine.submit(a_task())
        driver.after_start(a_task())
        starts += 1

    result = driver.engine.status(a_task().task_id).result
    assert result is not None
    assert result.outcome == "lost"
    assert "died 5 times in a row" in result.message
    assert starts == 6


def test_what_has_ended_can_be_forgotten(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.end(a_task())
    driver.engine.wait(a_task().task_id, timeout_s=60)

    driver.engine.forget(a_task().task_id)
    driver.engine.forget(a_task().task_id)

    assert not driver.engine.status(a_task().task_id).known


def test_what_has_not_ended_cannot_be_forgotten(driver: Driver) -> None:
    driver.engine.submit(a_task())

    with pytest.raises(EngineError, match="has not ended"):
        driver.engine.forget(a_task().task_id)


def test_tidying_forgets_what_ended_long_ago_in_runs_that_have_ended(driver: Driver) -> None:
    old, needed, running = a_task("old"), a_task("needed", run_id="run-2"), a_task("running")
    for task in (old, needed, running):
        driver.engine.submit(task)
    for task in (old, needed):
        driver.end(task)
        driver.engine.wait(task.task_id, timeout_s=60)
    now = datetime.now(UTC)

    assert driver.engine.tidy(now - timedelta(days=1), ()) == ()
    assert driver.engine.tidy(now, {"run-2"}) == (old.task_id,)
    assert not driver.engine.status(old.task_id).known
    assert driver.engine.status(needed.task_id).result is not None
    assert driver.engine.status(running.task_id).served


def test_there_is_at_least_one_node(driver: Driver) -> None:
    node = driver.engine.nodes()[0]

    assert node.name
    assert node.cpus >= 1
    assert node.memory_bytes > 0
    assert node.tags == ("ulm.07", "fast-disk")


def test_the_log_of_a_task_can_be_read_while_it_grows(driver: Driver) -> None:
    assert list(driver.engine.log(a_task().task_id).lines()) == []
    driver.engine.submit(a_task())
    reader = driver.engine.log(a_task().task_id)
    driver.write_log(a_task(), "first\nsecond\n")
    assert [line.text for line in reader.lines()] == ["first", "second"]

    driver.write_log(a_task(), "third\n")

    assert [line.text for line in reader.lines(2)] == ["second", "third"]
    assert [line.text for line in reader.tail(1)] == ["third"]


def test_a_log_is_followed_from_where_it_was_read_to(driver: Driver, tmp_path: Path) -> None:
    driver.engine.submit(a_task())
    driver.write_log(a_task(), "first\n")
    shown = tmp_path / "stdout"
    with StreamMirror(
        driver.engine.log(a_task().task_id), shown, tmp_path / "stderr", limit_bytes=100, note=""
    ) as mirror:
        assert mirror.pump() == len("first\n")
        driver.write_log(a_task(), "second\n")
        assert mirror.pump() == len("second\n")

    assert shown.read_text() == "first\nsecond\n"


def test_unfinished_tasks_are_those_without_a_result(driver: Driver) -> None:
    finished, running = a_task("finished"), a_task("running", run_id="run-2")
    assert driver.engine.unfinished() == ()
    for task in (finished, running):
        driver.engine.submit(task)
    driver.end(finished)
    driver.engine.wait(finished.task_id, timeout_s=60)

    (unfinished,) = driver.engine.unfinished()

    assert (unfinished.task_id, unfinished.run_id, unfinished.cancel_requested) == (running.task_id, "run-2", False)


def test_orphans_are_removed_once_their_attempt_is_over(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())
    driver.leave_orphan(a_task())
    assert driver.engine.remove_orphans() == ()
    driver.end(a_task())
    driver.engine.wait(a_task().task_id, timeout_s=60)

    assert driver.engine.remove_orphans() == (Orphan(task_id=a_task().task_id, kind="process"),)

    until("nothing is left to remove", lambda: driver.engine.remove_orphans() == ())


def test_leftovers_are_counted_until_they_are_forgotten(driver: Driver) -> None:
    other = a_task("other")
    for task in (a_task(), other):
        driver.engine.submit(task)
    driver.end(a_task())
    driver.engine.wait(a_task().task_id, timeout_s=60)

    left = driver.engine.leftovers({a_task().task_id, "run.nothing.1"})

    assert list(left) == [a_task().task_id]
    assert left[a_task().task_id] > 0
    assert driver.engine.forget(a_task().task_id)
    assert not driver.engine.forget(a_task().task_id)
    assert driver.engine.leftovers({a_task().task_id}) == {}


def test_a_task_runs_where_the_node_has_its_tags(driver: Driver) -> None:
    tagged = a_task().model_copy(update={"node_tags": ("fast-disk",)})

    driver.engine.submit(tagged)

    assert driver.engine.status(tagged.task_id).served


def test_a_task_whose_tags_no_node_has_fails_and_says_so(driver: Driver) -> None:
    tagged = a_task().model_copy(update={"node_tags": ("fast-disk", "big-gpu")})

    driver.engine.submit(tagged)
    driver.engine.submit(tagged)

    result = driver.engine.status(tagged.task_id).result
    assert result is not None
    assert result.outcome == "failed"
    assert "stage detect needs a node with all of the tags fast-disk, big-gpu, and there is none" in result.message
    assert "ulm.07, fast-disk" in result.message
    assert driver.engine.unfinished() == ()


def test_the_usage_of_every_node_is_reported(driver: Driver) -> None:
    driver.engine.submit(a_task())
    driver.until_running(a_task())
    until("the node says what is in use", lambda: len(driver.engine.node_usage()) == 1)

    (usage,) = driver.engine.node_usage()

    assert usage.name == driver.engine.nodes()[0].name
    assert 0 <= usage.cpu_percent <= 100
    assert 0 <= usage.memory_used_bytes <= usage.memory_total_bytes
    assert 0 < usage.disk_free_bytes <= usage.disk_total_bytes
    assert driver.engine.cache_bytes() == 0


def test_a_drained_node_says_who_drained_it_until_it_takes_stages_again(driver: Driver) -> None:
    name = driver.engine.nodes()[0].name
    assert driver.engine.takes_stages()
    assert not driver.engine.undrain(name)

    driver.engine.drain(name, by="anna", reason="new disks")

    (node,) = driver.engine.nodes()
    assert node.drain is not None
    assert (node.drain.by, node.drain.reason) == ("anna", "new disks")
    assert not driver.engine.takes_stages()
    assert driver.engine.undrain(name)
    assert driver.engine.takes_stages()


def test_a_node_that_there_is_not_cannot_be_drained(driver: Driver) -> None:
    for change in (lambda: driver.engine.drain("nowhere", by="anna"), lambda: driver.engine.undrain("nowhere")):
        with pytest.raises(NotFound, match="there is no node 'nowhere'"):
            change()


def test_a_task_that_runs_as_a_process_has_no_image(driver: Driver) -> None:
    assert driver.engine.image_digest(a_task().model_copy(update={"mode": "process", "image": "any"})) is None
