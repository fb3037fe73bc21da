"""What of this node's attempts still runs though nobody waits for it: containers and keepers of attempts that are over.

There should be none: an attempt has its result only once its container and its processes are gone. What is found here
came to life behind its runner's back, or lost its task directory. GPUs need no such care: a lease is a file lock, which
the kernel frees with its owner, and what a lock file says counts only while that attempt has no result (`gpus.py`).
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
"""Whether the attempt of that task id has ended, or is not known here."""
SUPERVISOR_ARGUMENTS = 5


def remove_orphaned_containers(tasks_dir: Path, over: Over) -> tuple[str, ...]:
    """Remove the containers of attempts in `tasks_dir` that are over, and give their task ids.

    Those of other installations have another label. Nothing is done where no Docker daemon answers. Raises EngineError.
    """
    try:
        daemon = DockerDaemon.connect()
    except ServiceUnavailable:
        return ()
    removed = []
    with daemon.client() as api:
        for container in api.containers(all=True, filters={"label": f"winslow.home={tasks_dir}"}):
            task_id = str(container["Labels"].get("winslow.task", ""))
            if task_id and over(task_id):
                remove_for_good(api, container["Id"])
                removed.append(task_id)
    return tuple(removed)


def kill_orphaned_processes(tasks_dir: Path, over: Over) -> tuple[str, ...]:
    """Kill what keepers of attempts in `tasks_dir` that are over still keep, and they end too. Gives the task ids."""
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
        words = process.info["cmdline"] or []
        if len(words) != SUPERVISOR_ARGUMENTS or Path(words[3]).name != Path(process_supervisor.__file__).name:
            continue
        directory = Path(words[4])
        if directory.is_relative_to(tasks_dir) and directory != tasks_dir:
            yield process.pid, directory.relative_to(tasks_dir).parts[0]
