"""Selects the runtime of an attempt, container or process, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from winslow_dagster.errors import ServiceAway, ServiceUnavailable, StageFailed
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


class _Away(Exception):
    """The Docker daemon is away, and its return is not waited for."""


def _do_not_wait(reason: str) -> None:
    raise _Away(reason)


def choose(task: StageTask, announce: Announce) -> Choice:
    """The mode of a new attempt. Waits for a Docker daemon that is away if the stage needs a container.

    Raises StageFailed if neither mode is possible.
    """
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
    needs_container = task.mode == "docker" or not task.command
    try:
        daemon = connected(announce, ServiceAway if needs_container else ())
    except ServiceUnavailable as error:
        if needs_container:
            remedy = (
                error.remedy
                if task.mode == "docker"
                else f"{error.remedy} or give the stage a `command` to run as a process"
            )
            raise StageFailed(error.what, where=f"{where}, {error.where}", remedy=remedy) from error
        return Choice("process", f"{error.what} ({error.where})")
    reason = "the settings require containers" if task.mode == "docker" else "Docker is available"
    return Choice("docker", reason, daemon)


def connected(announce: Announce, waited_for: type[ServiceUnavailable] | tuple[()]) -> DockerDaemon:
    """The Docker daemon. Tries again as long as connecting raises `waited_for`; `announce` may raise to give up."""
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    while True:
        try:
            return DockerDaemon.connect()
        except waited_for as error:
            announce(f"waiting for Docker: {error}")
            Event().wait(RETRY_S)


def image_digest(task: StageTask) -> str | None:
    """The digest of the image that a new attempt would run; None if it would run as a process.

    Empty if that is not known yet: the image is missing, or the Docker daemon is away. Raises StageFailed if neither is
    possible.
    """
    try:
        choice = choose(task, _do_not_wait)
    except _Away:
        return ""
    if choice.daemon is None or task.image is None:
        return None
    return choice.daemon.image_digest(task.image)


def launcher_of(choice: Choice, task: StageTask, directory: TaskDirectory, announce: Announce) -> StageLauncher:
    """The launcher of the attempt. Waits for a Docker daemon that cannot be used."""
    if choice.mode == "process":
        from winslow_dagster.stages.launchers.process.processes import ProcessLauncher

        return ProcessLauncher(task, directory)
    from winslow_dagster.stages.launchers.docker.containers import DockerLauncher

    daemon = choice.daemon or connected(announce, ServiceUnavailable)
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
