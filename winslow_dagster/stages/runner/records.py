"""What a runner writes down for its successor, in the attempt's `work` directory: how far the attempt is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from winslow_dagster.stages.launchers.base import Mode
from winslow_dagster.stages.runner.outcome import Stopping
from winslow_dagster.stages.task.directory import read_value, write_atomically, write_quickly
from winslow_dagster.stages.task.model import Frozen, NodeGpu, StageResult


class Beginning(Frozen):
    """Written before anything is started."""

    mode: Mode
    mode_reason: str
    gpus: tuple[NodeGpu, ...]
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Records:
    """The three steps of an attempt's life that must not be forgotten. `work` is there already.

    A power cut ends the program too; of what came before it only the ending is needed afterwards.
    """

    work: Path

    def beginning(self) -> Beginning | None:
        """How it was begun, or None where nothing was."""
        return read_value(self.work / "beginning.json", Beginning)

    def write_beginning(self, beginning: Beginning) -> None:
        """Before the start."""
        write_quickly(self.work / "beginning.json", beginning.model_dump_json())

    def stopping(self) -> Stopping | None:
        """Why it is being ended, or None where nobody ends it."""
        return read_value(self.work / "stopping.json", Stopping)

    def write_stopping(self, stopping: Stopping) -> None:
        """Before the first signal."""
        write_quickly(self.work / "stopping.json", stopping.model_dump_json())

    def ending(self) -> StageResult | None:
        """How it ended, before its outputs and its log were stored, or None while it runs."""
        return read_value(self.work / "ending.json", StageResult)

    def write_ending(self, ending: StageResult) -> None:
        """After the outputs were checked, before they are moved."""
        write_atomically(self.work / "ending.json", ending.model_dump_json())
