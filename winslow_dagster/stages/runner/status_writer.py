"""Writes the status file of a running attempt."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime

from winslow_dagster.stages.disk_space import DISK_FULL_ERRNOS
from winslow_dagster.stages.launchers.base import Mode
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import LogSummary, Phase, StageStatus

EVERY_S = 1.0


class StatusWriter:
    """Writes the status when phase or reason change, and at most once a second otherwise."""

    def __init__(self, directory: TaskDirectory) -> None:
        self._directory = directory
        self._phase: Phase = "waiting"
        self._reason = ""
        self._written_at = 0.0
        self.mode: Mode | None = None
        self.started_at = datetime.now(UTC)
        self.gpus: tuple[str, ...] = ()
        self.summary: Callable[[], LogSummary] = LogSummary

    def show(self, phase: Phase, reason: str = "") -> None:
        """Write the phase, and the reason why the stage is not running."""
        now = time.monotonic()
        if (phase, reason) == (self._phase, self._reason) and now - self._written_at < EVERY_S:
            return
        if phase == self._phase and reason and self._reason and now - self._written_at < EVERY_S:
            return  # Only the wording changed, such as the progress of a download.
        self._phase, self._reason, self._written_at = phase, reason, now
        status = StageStatus(
            task_id=self._directory.task_id,
            phase=phase,
            reason=reason,
            node=platform.node(),
            mode=self.mode,
            runner_pid=os.getpid(),
            updated_at=datetime.now(UTC),
            started_at=self.started_at,
            gpus=self.gpus,
            log=self.summary(),
        )
        try:
            self._directory.write_status(status)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:  # The result will report a full disk.
                raise
