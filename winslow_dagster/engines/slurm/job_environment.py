"""What a job finds in its environment, and the signals that reach its agent."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the batch script and Slurm say in the environment. `gpus` are Slurm's numbers on this node."""

    task_id: str
    submission: int
    comment: str
    job_id: str
    node: str
    gpus: tuple[int, ...]

    @classmethod
    def read(cls) -> Self:
        """Those of this process."""
        source = os.environ
        return cls(
            task_id=source["WINSLOW_AGENT_TASK"],
            submission=int(source["WINSLOW_AGENT_SUBMISSION"]),
            comment=source["WINSLOW_AGENT_COMMENT"],
            job_id=source["SLURM_JOB_ID"],
            node=source["SLURMD_NODENAME"],
            gpus=tuple(int(number) for number in source.get("SLURM_JOB_GPUS", "").split(",") if number),
        )


class Signals:
    """Wakes the agent: USR1 asks it to report now, TERM says that Slurm ends the job."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.interrupted = False
        signal.set_wakeup_fd(self._writer)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True

    def taken(self) -> bool:
        """Whether one has come since the last call."""
        with suppress(BlockingIOError):
            return bool(os.read(self.reader, 4096))
        return False

    def wake(self) -> None:
        """Wake the agent, from a fork of it."""
        with suppress(BlockingIOError):
            os.write(self._writer, b"\0")

    @staticmethod
    def reset() -> None:
        """In a fork: the runner ends only when its directory says so, and starts its programs unchanged."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
