"""The interface of stage launchers, implemented in `docker/containers.py` and `process/processes.py`."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.task.model import NodeGpu, StageTask

Mode = Literal["docker", "process"]
Signal = Literal["TERM", "KILL"]


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of the stage contract, as paths the stage sees."""

    input: str
    resources: str
    output: str
    checkpoint: str
    secrets: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything needed to start a stage.

    `inputs` and `resources` map the names under which the stage sees them to local directories. `nothing` is an empty
    directory. `secrets` has one file for each secret; `secrets_in_env` are the variables that are set, too.
    """

    task: StageTask
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: dict[str, str]
    output: Path
    checkpoint: Path
    nothing: Path
    inputs: dict[str, Path]
    resources: dict[str, Path]
    secrets: Path
    secrets_in_env: tuple[str, ...] = ()
    gpus: tuple[NodeGpu, ...] = ()


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How the stage's program ended, as far as this node knows."""

    ended_at: datetime
    exit_code: int | None = None
    signal: Signal | None = None
    """The signal that ended it, from any sender."""
    out_of_memory: bool = False
    lost: str = ""
    """Why the exit status is unknown; empty if it is known."""
    failure: str = ""
    """Why the program could not start; empty if it started."""
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage's processes use: processor time so far, and memory now. None where this node cannot tell."""

    cpu_s: float | None = None
    memory_bytes: int | None = None


class StageLauncher(ABC):
    """Controls one attempt's container or processes. Every method may be called again after a crash at any moment."""

    mode: Mode
    places: Places

    @abstractmethod
    def start(self, launch: Launch) -> None:
        """Start the program. Raises StageFailed."""

    @abstractmethod
    def started(self) -> bool:
        """Whether this or an earlier runner may have started the program: then call `attach` instead of `start`."""

    @abstractmethod
    def attach(self) -> None:
        """Take over the program that an earlier runner started."""

    @abstractmethod
    def follow(self, writer: LogWriter, stop: threading.Event) -> str:
        """Copy the program's output to the log until it is complete or `stop` is set. Called in a thread.

        Returns why the end is missing, or an empty text. Raises OSError if the log cannot be written.
        """

    @abstractmethod
    def wait(self, timeout_s: float) -> ExitStatus | None:
        """Wait for the program's end. Returns None if it is still running after `timeout_s`."""

    @abstractmethod
    def send(self, signal: Signal) -> None:
        """Send a signal to all of the attempt's processes. Does nothing if they have ended."""

    @abstractmethod
    def look(self) -> str:
        """Monitor the program; call about once a second, also while its log is read after its end.

        Returns why it is held up, or an empty text.
        """

    @abstractmethod
    def usage(self) -> Usage:
        """What the program uses; call about once a second. Nothing once it has ended."""

    @abstractmethod
    def chown_outputs(self) -> str:
        """Make this user the owner of the outputs, after the end. Returns why that failed, or an empty text."""

    @abstractmethod
    def remove(self) -> None:
        """Remove everything of the attempt from this node except its directory. Raises EngineError."""

    @property
    @abstractmethod
    def image_digest(self) -> str | None:
        """The digest of the image; None for a process."""

    @property
    @abstractmethod
    def unenforced(self) -> tuple[str, ...]:
        """One sentence for each limit that this node cannot enforce."""
