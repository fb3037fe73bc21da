"""Finds and ends orphans on this node: containers and process supervisors of attempts that have ended.

There should be none: an attempt gets its result only after its container and processes are gone. Orphans appeared
without their runner's knowledge, or lost their task directory. GPUs need no cleanup: the kernel frees the file lock of
a lease with its owner, and a lock file's content counts only while that attempt has no result (`gpu_allocator.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from winslow_dagster.errors import ServiceUnavailable
from winslow_dagster.stages import process_supervisor
from winslow_dagster.stages.launchers.docker.containers import DockerDaemon, remove_for_good

Over = Callable[[str], bool]
"""Whether the attempt with that task id has ended or is unknown here."""
SUPERVISOR_ARGUMENTS = 5


def remove_orphaned_containers(tasks_dir: Path, over: Over) -> tuple[str, ...]:
    """Remove the containers of ended attempts in `tasks_dir`. Returns their task ids.

    Containers of other installations have another label. Does nothing if no Docker daemon is available.
    Raises EngineError.
    """
    try:
        daemon = DockerDaemon.connect()
    except ServiceUnavailable:
        return ()
    removed = []
    for container in daemon.containers(f"winslow.home={tasks_dir}"):
        task_id = str(container["Labels"].get("winslow.task", ""))
        if task_id and over(task_id):
            remove_for_good(daemon.api, container["Id"])
            removed.append(task_id)
    return tuple(removed)


def kill_orphaned_processes(tasks_dir: Path, over: Over) -> tuple[str, ...]:
    """Kill the processes of ended attempts in `tasks_dir`; their supervisors then exit. Returns the task ids."""
    ended = []
    for pid, task_id in _supervisors(tasks_dir):
        if over(task_id):
            for below in process_supervisor.descendants(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)
            ended.append(task_id)
    return tuple(ended)


def _supervisors(tasks_dir: Path) -> Iterator[tuple[int, str]]:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if len(command) != SUPERVISOR_ARGUMENTS or Path(command[3]).name != Path(process_supervisor.__file__).name:
            continue
        directory = Path(command[4])
        if directory.is_relative_to(tasks_dir) and directory != tasks_dir:
            yield process.pid, directory.relative_to(tasks_dir).parts[0]
