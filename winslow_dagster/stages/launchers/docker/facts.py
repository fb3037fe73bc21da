"""What Docker says of images, containers and failures, as values and words of our own. Asks no daemon."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from winslow_dagster.stages.launchers.base import Exit, Signal
from winslow_dagster.stages.task.model import Frozen, StageTask

SIGNALS: dict[int, Signal] = {128 + 9: "KILL", 128 + 15: "TERM"}
"""Exit codes by which Docker tells that a signal ended the program."""
DAEMON_LOST_IT = 255
"""What Docker says of a container that ended while the daemon was away."""
ROOT = ("", "0", "root", "0:0", "root:root")


class ContainerRecord(Frozen):
    """What is written down before a container is started."""

    container_id: str
    image_digest: str
    unenforced: tuple[str, ...] = ()
    foreign_user: bool = False


def exit_of(state: dict[str, Any], *, had_outage: bool, peak_memory_bytes: int | None) -> Exit:
    """How a container ended, from the state that Docker shows. `had_outage`: the daemon was away meanwhile."""
    code = int(state["ExitCode"])
    lost = ""
    if had_outage and code in {DAEMON_LOST_IT, *SIGNALS}:
        lost = "the Docker daemon was restarted and ended its container"
    return Exit(
        ended_at=datetime.fromisoformat(state["FinishedAt"]),
        exit_code=code,
        signal=SIGNALS.get(code),
        out_of_memory=bool(state["OOMKilled"]),
        lost=lost,
        peak_memory_bytes=peak_memory_bytes,
    )


def explained(said: str, task: StageTask) -> str:
    """What the daemon says, in words that say what to do."""
    if "could not select device driver" in said:
        return "Docker cannot give GPUs to containers; install the NVIDIA Container Toolkit on this machine"
    if "executable file not found" in said or "no such file or directory" in said:
        program = task.args[0] if task.args else "it shall start"
        return f"the image {task.image} has no program {program!r}: {said}"
    return f"Docker refuses the container: {said}"


def user_of(image: dict[str, Any]) -> tuple[str, bool]:
    """The user to ask for (empty: the image's own), and whether it is another than this process's."""
    own = str((image.get("Config") or {}).get("User") or "")
    if own in ROOT:
        return f"{os.getuid()}:{os.getgid()}", False
    return "", own.partition(":")[0] != str(os.getuid())
