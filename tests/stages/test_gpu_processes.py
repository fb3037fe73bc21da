"""The processes on a GPU belong to the stages whose containers or supervisors they are in."""

from __future__ import annotations

import os
import subprocess
from uuid import uuid4

import psutil
from attempts import Place
from patience import until

from winslow_dagster.engines.gpu_processes import MOST_PROCESSES, GpuUser, ProcessOwners
from winslow_dagster.engines.node_usage import GpuProcess


def sleeping(seconds: str) -> list[int]:
    """The processes that sleep for so long."""
    running = psutil.process_iter(["cmdline"])
    return [process.pid for process in running if (process.info["cmdline"] or [])[-2:] == ["sleep", seconds]]


def test_a_process_of_a_stage_is_said_with_project_stage_and_attempt(place: Place) -> None:
    seconds = f"{3600 + uuid4().int % 10**9}"
    task = place.task(f"sleep {seconds} & wait")
    broken = place.node.tasks_dir / "another" / "work"
    broken.mkdir(parents=True)
    (broken / "container.json").write_text("{")
    owners = ProcessOwners(place.node.tasks_dir)
    with place.running(task):
        until("its program runs", lambda: sleeping(seconds))
        (pid,) = sleeping(seconds)

        found = owners.described([GpuUser(os.getpid(), 1), GpuUser(pid, 1 << 30)])

        assert found[0] == GpuProcess(
            pid=pid, program="sleep", memory_bytes=1 << 30, project="ulm-07", stage="detect", attempt=1
        )
        assert (found[1].pid, found[1].project, found[1].stage, found[1].attempt) == (os.getpid(), "", "", None)
        place.directory(task).request_cancel("enough")
        until("it has ended", lambda: place.directory(task).result())
    assert owners.described([GpuUser(pid, 1)]) == ()


def test_of_very_many_processes_those_with_the_most_memory_are_known(process_place: Place) -> None:
    children = [subprocess.Popen(["sleep", "3600"]) for _ in range(MOST_PROCESSES + 1)]
    try:
        users = [GpuUser(child.pid, number) for number, child in enumerate(children)]
        found = ProcessOwners(process_place.node.tasks_dir).described(users)
        assert [each.memory_bytes for each in found] == list(range(MOST_PROCESSES, 0, -1))
    finally:
        for child in children:
            child.kill()
            child.wait()
