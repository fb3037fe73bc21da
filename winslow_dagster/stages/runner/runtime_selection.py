"""Selects the runtime of an attempt, container or process, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from winslow_dagster.errors import ServiceUnavailable, StageFailed
from winslow_dagster.stages.launchers.base import Mode, StageLauncher
from winslow_dagster.stages.runner.records import AttemptRecords
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageTask

if TYPE_CHECKING:
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

Announce = Callable[[str], None]
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """A mode and the reason for it, and the Docker daemon if it was contacted."""

    mode: Mode
    reason: str
    daemon: DockerDaemon | None = None


def choose(task: StageTask) -> Choice:
    """The mode of a new attempt. Raises StageFailed if neither is possible."""
    where = f"stage {task.stage}"
    if task.mode == "process":
        return Choice("process", "the settings require processes")
    if task.image is None:
        if task.mode == "docker" or not task.command:
            raise StageFailed(
                "the stage has nothing to run",
                where=where,
                expected="an `image`, or a `command` if processes are allowed",
            )
        return Choice("process", "the stage has no image")
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    try:
        daemon = DockerDaemon.connect()
    except ServiceUnavailable as error:
        if task.mode == "docker" or not task.command:
            remedy = (
                error.remedy
                if task.mode == "docker"
                else f"{error.remedy} or give the stage a `command` to run as a process"
            )
            raise StageFailed(error.what, where=f"{where}, {error.where}", remedy=remedy) from error
        return Choice("process", f"{error.what} ({error.where})")
    reason = "the settings require containers" if task.mode == "docker" else "Docker is available"
    return Choice("docker", reason, daemon)


def image_digest(task: StageTask) -> str | None:
    """The digest of the image that a new attempt would run; None if it would run as a process.

    Raises StageFailed if neither is possible.
    """
    choice = choose(task)
    if choice.daemon is None or task.image is None:
        return None
    return choice.daemon.image_digest(task.image)


def launcher_of(choice: Choice, task: StageTask, directory: TaskDirectory, announce: Announce) -> StageLauncher:
    """The launcher of the attempt. Waits for a Docker daemon that is not running."""
    if choice.mode == "process":
        from winslow_dagster.stages.launchers.process.processes import ProcessLauncher

        return ProcessLauncher(task, directory)
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon, DockerLauncher

    daemon = choice.daemon
    while daemon is None:
        try:
            daemon = DockerDaemon.connect()
        except ServiceUnavailable as error:
            announce(f"waiting for Docker: {error}")
            Event().wait(RETRY_S)
    return DockerLauncher(daemon, task, directory, announce)


def is_alive(directory: TaskDirectory) -> bool:
    """Whether an attempt's container or process is running; True if that cannot be determined."""
    start = AttemptRecords(directory.work).start()
    if start is None:
        return False
    if start.mode == "process":
        from winslow_dagster.stages.launchers.process.processes import supervisor_is_alive

        return supervisor_is_alive(directory)
    from winslow_dagster.stages.launchers.docker.containers import container_is_alive

    return container_is_alive(directory.task_id)
