from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest
from attempts import Place
from patience import until

from winslow_dagster.errors import EngineError
from winslow_dagster.stages.process_supervisor import create_time_s
from winslow_dagster.stages.task.directory import AlreadyServed, TaskDirectory
from winslow_dagster.stages.task.model import StageResult


@pytest.fixture
def directory(tmp_path: Path) -> TaskDirectory:
    made = TaskDirectory.of(tmp_path, "r.detect.1")
    made.path.mkdir()
    return made


def test_the_first_to_submit_an_id_wins(process_place: Place) -> None:
    task = process_place.task("true")
    other = task.model_copy(update={"stage": "track"})
    assert process_place.directory(task).write_task(other) == task
    assert process_place.directory(task).task() == task


def test_the_first_reason_to_cancel_stands(directory: TaskDirectory) -> None:
    assert directory.cancel_reason() is None
    directory.request_cancel("wrong video")
    directory.request_cancel("never mind")
    assert directory.cancel_reason() == "wrong video"


def test_a_directory_without_files_has_nothing_to_say(directory: TaskDirectory) -> None:
    assert (directory.task(), directory.status(), directory.outcome(), directory.result()) == (None, None, None, None)
    assert not directory.runner_alive()


def test_a_file_that_a_power_cut_left_empty_counts_as_not_there(directory: TaskDirectory) -> None:
    (directory.path / "status.json").touch()
    assert directory.status() is None


def test_a_file_that_holds_something_else_is_named(directory: TaskDirectory) -> None:
    (directory.path / "result.json").write_text("{}")
    with pytest.raises(EngineError, match=r"result\.json cannot be read"):
        directory.result()


def test_one_runner_holds_a_task_and_leaves_it_when_it_ends(directory: TaskDirectory) -> None:
    with directory.hold():
        assert directory.runner_alive()
        with pytest.raises(AlreadyServed), directory.hold():
            pytest.fail("two runners at once")
    assert not directory.runner_alive()
    with directory.hold():
        assert directory.runner_alive()


def test_asking_whether_a_runner_lives_never_keeps_one_from_starting(directory: TaskDirectory) -> None:
    ask = threading.Event()

    def asker() -> None:
        while not ask.is_set():
            directory.runner_alive()

    threads = [threading.Thread(target=asker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        with directory.hold():
            pass
    ask.set()
    for thread in threads:
        thread.join()


def test_of_many_runners_that_start_at_once_one_holds_the_task(directory: TaskDirectory) -> None:
    context = multiprocessing.get_context("fork")
    gate, served = context.Barrier(6), context.Queue()

    def runner() -> None:
        gate.wait()
        try:
            with directory.hold():
                served.put("served")
                gate.wait()
        except AlreadyServed:
            served.put("left")
            gate.wait()

    processes = [context.Process(target=runner) for _ in range(6)]
    for process in processes:
        process.start()
    assert sorted(served.get() for _ in processes) == ["left"] * 5 + ["served"]
    for process in processes:
        process.join()


def test_an_outcome_becomes_the_result_by_one_rename(process_place: Place) -> None:
    task = process_place.task("true")
    result = process_place.serve(task)
    directory = process_place.directory(task)
    assert isinstance(directory.result(), StageResult)
    assert directory.outcome() is None
    assert directory.result() == result


def test_the_life_of_a_process_is_told_from_a_later_one_with_its_pid() -> None:
    assert create_time_s(os.getpid()) == create_time_s(os.getpid())
    child = os.fork()
    if child == 0:
        os._exit(0)
    until("the child is a zombie", lambda: create_time_s(child) is None)
    os.waitpid(child, 0)
    assert create_time_s(child) is None
