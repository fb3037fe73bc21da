"""Records how far an attempt is, for a runner that takes over. Stored in the attempt's `work` directory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.launchers.base import Mode
from winslow_dagster.stages.runner.outcome import Stopping
from winslow_dagster.stages.task.directory import read_value, write_atomically, write_quickly
from winslow_dagster.stages.task.model import NodeGpu, StageResult


class AttemptStart(Frozen):
    """Recorded before anything is started."""

    mode: Mode
    mode_reason: str
    gpus: tuple[NodeGpu, ...]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptRecords:
    """The recorded steps of an attempt. The directory `work` must exist.

    Only the end is synced to disk: a power failure ends the program too, and the earlier steps are then not needed.
    """

    work: Path

    def start(self) -> AttemptStart | None:
        """How the attempt was started, or None if it was not."""
        return read_value(self.work / "start.json", AttemptStart)

    def write_start(self, start: AttemptStart) -> None:
        """Call before starting the program."""
        write_quickly(self.work / "start.json", start.model_dump_json())

    def stopping(self) -> Stopping | None:
        """Why the attempt is being stopped, or None if it is not."""
        return read_value(self.work / "stopping.json", Stopping)

    def write_stopping(self, stopping: Stopping) -> None:
        """Call before sending the first signal."""
        write_quickly(self.work / "stopping.json", stopping.model_dump_json())

    def end(self) -> StageResult | None:
        """How the program ended, without stored outputs and log; None if it has not ended."""
        return read_value(self.work / "end.json", StageResult)

    def write_end(self, end: StageResult) -> None:
        """Call after checking the outputs and before moving them."""
        write_atomically(self.work / "end.json", end.model_dump_json())
