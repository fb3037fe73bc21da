"""Container or process: which of the two an attempt runs in, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from winslow_dagster.errors import ServiceUnavailable, StageFailed
from winslow_dagster.stages.launchers.base import Launcher, Mode
from winslow_dagster.stages.runner.records import Records
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageTask

if TYPE_CHECKING:
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

Announce = Callable[[str], None]
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """A mode and the reason for it; the daemon, where it has just answered."""

    mode: Mode
    reason: str
    daemon: DockerDaemon | None = None


def choose(task: StageTask) -> Choice:
    """The mode of a fresh attempt. Raises StageFailed where neither will do."""
    where = f"stage {task.stage}"
    if task.mode == "process":
        return Choice("process", "the settings ask for processes")
    if task.image is None:
        if task.mode == "docker" or not task.command:
            raise StageFailed(
                "there is nothing to run",
                where=where,
                expected="an `image`, or a `command` where processes are allowed",
            )
        return Choice("process", "the stage names no image")
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    try:
        daemon = DockerDaemon.connect()
    except ServiceUnavailable as error:
        if task.mode == "docker" or not task.command:
            remedy = error.remedy if task.mode == "docker" else f"{error.remedy} or give the stage a `command`"
            raise StageFailed(error.what, where=f"{where}, {error.where}", remedy=remedy) from error
        return Choice("process", f"{error.what} ({error.where})")
    return Choice("docker", "the settings ask for containers" if task.mode == "docker" else "Docker answers", daemon)


def image_digest(task: StageTask) -> str | None:
    """The digest of the image that a fresh attempt would run in now; None where it would run as a process.

    Raises StageFailed where the image is not there.
    """
    choice = choose(task)
    if choice.daemon is None or task.image is None:
        return None
    return choice.daemon.image_digest(task.image)


def launcher_of(choice: Choice, task: StageTask, directory: TaskDirectory, announce: Announce) -> Launcher:
    """What starts, or has started, the attempt. Waits for a Docker daemon that is away."""
    if choice.mode == "process":
        from winslow_dagster.stages.launchers.process.processes import ProcessLauncher

        return ProcessLauncher(task, directory)
    from winslow_dagster.stages.launchers.docker.containers import ContainerLauncher, DockerDaemon

    daemon = choice.daemon
    while daemon is None:
        try:
            daemon = DockerDaemon.connect()
        except ServiceUnavailable as error:
            announce(f"waits for Docker: {error}")
            Event().wait(RETRY_S)
    return ContainerLauncher(daemon, task, directory, announce)


def lives(directory: TaskDirectory) -> bool:
    """Whether an attempt's container or process lives; assumed where nobody can tell."""
    beginning = Records(directory.work).beginning()
    if beginning is None:
        return False
    if beginning.mode == "process":
        from winslow_dagster.stages.launchers.process.processes import supervisor_alive

        return supervisor_alive(directory)
    from winslow_dagster.stages.launchers.docker.containers import container_lives

    return container_lives(directory.task_id)
