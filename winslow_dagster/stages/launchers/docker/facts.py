"""Translates Docker's data on images, containers and failures into values and messages. Contacts no daemon."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import datetime
from typing import Any

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.launchers.base import ExitStatus, Signal
from winslow_dagster.stages.task.model import StageTask

SIGNALS: dict[int, Signal] = {128 + 9: "KILL", 128 + 15: "TERM"}
"""Exit codes that Docker uses for a program ended by a signal."""
UNKNOWN_EXIT_CODE = 255
"""Docker's exit code for a container that ended while the daemon was down."""
ROOT = ("", "0", "root", "0:0", "root:root")


class ContainerRecord(Frozen):
    """Recorded before a container is started."""

    container_id: str
    image_digest: str
    unenforced: tuple[str, ...] = ()
    foreign_user: bool = False


def exit_of(state: dict[str, Any], *, had_outage: bool, peak_memory_bytes: int | None) -> ExitStatus:
    """The exit status of a container, from its state. `had_outage`: the daemon was down for a time."""
    code = int(state["ExitCode"])
    lost = ""
    if had_outage and code in {UNKNOWN_EXIT_CODE, *SIGNALS}:
        lost = "the Docker daemon was restarted and stopped its container"
    return ExitStatus(
        ended_at=datetime.fromisoformat(state["FinishedAt"]),
        exit_code=code,
        signal=SIGNALS.get(code),
        out_of_memory=bool(state["OOMKilled"]),
        lost=lost,
        peak_memory_bytes=peak_memory_bytes,
    )


def explained(message: str, task: StageTask) -> str:
    """The daemon's error message with its likely cause."""
    if "could not select device driver" in message:
        return "Docker cannot give GPUs to containers; install the NVIDIA Container Toolkit on this machine"
    if "executable file not found" in message or "no such file or directory" in message:
        words = task.command or task.args
        program = f"program {words[0]!r}" if words else "program to start"
        return f"the image {task.image} has no {program}: {message}"
    return f"Docker rejected the container: {message}"


def user_of(image: dict[str, Any]) -> tuple[str, bool]:
    """The user to request (empty: the image's own), and whether it differs from this process's user."""
    own = str((image.get("Config") or {}).get("User") or "")
    if own in ROOT:
        return f"{os.getuid()}:{os.getgid()}", False
    return "", own.partition(":")[0] != str(os.getuid())


def uid_of(user: str, archive: bytes) -> int | None:
    """The number of a user, from a tar of /etc/passwd; None if it is not in it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.next()
        content = tar.extractfile(member) if member is not None and member.isfile() else None
        lines = content.read().decode(errors="replace").splitlines() if content is not None else []
    fields = (line.split(":") for line in lines)
    return next((int(entry[2]) for entry in fields if entry[0] == user and entry[2:3] and entry[2].isdigit()), None)
