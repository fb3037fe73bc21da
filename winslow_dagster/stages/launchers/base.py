"""What starts a stage and ends it: one interface, one file per kind (`containers.py`, `processes.py`)."""

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
    """The directories of the stage contract, as the stage names them."""

    input: str
    resources: str
    output: str
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What is started. `inputs` and `resources` are local directories, by the name under which the stage sees them;
    `nothing` is an empty one.
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
    gpus: tuple[NodeGpu, ...] = ()


@dataclass(frozen=True, slots=True)
class Exit:
    """How the stage's program ended, as far as this node can tell."""

    ended_at: datetime
    exit_code: int | None = None
    signal: Signal | None = None
    """The signal that ended it, whoever sent it."""
    out_of_memory: bool = False
    lost: str = ""
    """Why nobody can say how it ended. Empty when that is known."""
    failure: str = ""
    """Why it never began. Empty when it did."""
    peak_memory_bytes: int | None = None


class Launcher(ABC):
    """One attempt's container or process group. Every method may be called again after a crash at any moment."""

    mode: Mode
    places: Places

    @abstractmethod
    def start(self, launch: Launch) -> None:
        """Start it. Raises StageFailed where it cannot be."""

    @abstractmethod
    def started(self) -> bool:
        """Whether this or an earlier runner may have started it: `attach` is to be called then, and not `start`."""

    @abstractmethod
    def attach(self) -> None:
        """Go on with what an earlier runner started."""

    @abstractmethod
    def follow(self, writer: LogWriter, stop: threading.Event) -> None:
        """Write the log until it is complete, or as far as it goes once `stop` is set. Called in a thread.

        Raises OSError where the log cannot be written.
        """

    @abstractmethod
    def wait(self, timeout_s: float) -> Exit | None:
        """How it ended, or None where it still runs after `timeout_s`. Sees the end at once."""

    @abstractmethod
    def send(self, signal: Signal) -> None:
        """Send a signal to all of it; nothing happens where it has ended."""

    @abstractmethod
    def look(self) -> str:
        """A look about once a second. Gives what hinders it now, in words for a person; empty when nothing does."""

    @abstractmethod
    def chown_outputs(self) -> str:
        """After the end: make the outputs this user's. Gives why that failed; empty when it did not."""

    @abstractmethod
    def remove(self) -> None:
        """Leave nothing of it running and nothing of it on this node but its directory. Raises EngineError."""

    @property
    @abstractmethod
    def image_digest(self) -> str | None:
        """Which image ran; None for a process."""

    @property
    @abstractmethod
    def unenforced(self) -> tuple[str, ...]:
        """The limits this node cannot enforce for it, in words."""
