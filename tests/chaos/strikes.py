"""What strikes an installation: kill -9, or kill -STOP for a while, at a process of each kind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import psutil
from installation import Installation

STOPPED_S = 10.0
SERVICES = ("daemon", "code-server", "web-server", "runner-fork-server", "worker-fork-server")
EVERYTHING = "everything"
Found = Mapping[int, str | None]
"""Processes by pid, with the task id of those whose death ends an attempt."""


def without_task(pids: list[int]) -> Found:
    return dict.fromkeys(pids)


def supervisor(installation: Installation) -> list[int]:
    return [installation.supervisor.pid] if installation.supervisor is not None else []


KINDS: dict[str, Callable[[Installation], Found]] = {
    "run worker": lambda installation: without_task(installation.run_worker()),
    "stage runner": lambda installation: without_task(installation.stage_runner()),
    "stage": Installation.tasks_of_stages,
    "container": lambda installation: installation.tasks_of_containers() if installation.image else {},
    "process supervisor": Installation.tasks_of_process_supervisors,
    "services' supervisor": lambda installation: without_task(supervisor(installation)),
    **{name: lambda installation, name=name: without_task(installation.service(name)) for name in SERVICES},
}


@dataclass(frozen=True)
class Strike:
    action: Literal["kill", "stop"]
    kind: str

    def applies_to(self, installation: Installation) -> bool:
        return self.kind != ("process supervisor" if installation.image else "container")

    def at(self, installation: Installation) -> dict[str, dict[int, str | None]]:
        """Strike what there is of it now; everything, only while a stage runs. Returns what it hit, by kind."""
        kinds = KINDS if self.kind == EVERYTHING else {self.kind: KINDS[self.kind]}
        found = {kind: processes(installation) for kind, processes in kinds.items()}
        if self.kind == EVERYTHING and not found["stage"]:
            return {}
        pids = [pid for each in found.values() for pid in each]
        hit = killed(pids) if self.action == "kill" else stopped_for_a_while(pids)
        struck = {kind: {pid: task for pid, task in each.items() if pid in hit} for kind, each in found.items()}
        return {kind: each for kind, each in struck.items() if each}


ALL = [Strike(action, kind) for kind in (*KINDS, EVERYTHING) for action in ("kill", "stop")]
FEW = [strike for strike in ALL if strike.action == "kill" or strike.kind == EVERYTHING]
"""Every kind is killed, and all are stopped, but at once: each stop takes its time."""


def send(number: signal.Signals, pids: list[int]) -> list[int]:
    """Returns those that were running."""
    running = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                os.kill(pid, number)
                running.append(pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return running


def killed(pids: list[int]) -> list[int]:
    return send(signal.SIGKILL, pids)


def stopped_for_a_while(pids: list[int]) -> list[int]:
    """Only those count that did not run until the end of it."""
    stopped = send(signal.SIGSTOP, pids)
    try:
        time.sleep(STOPPED_S)  # the strike itself
        return [
            pid for pid in stopped if psutil.pid_exists(pid) and psutil.Process(pid).status() == psutil.STATUS_STOPPED
        ]
    finally:
        send(signal.SIGCONT, stopped)
