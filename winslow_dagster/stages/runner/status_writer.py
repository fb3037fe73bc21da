"""What an attempt shows to the outside while it goes on: the status file."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime

from winslow_dagster.stages.disk import NO_ROOM
from winslow_dagster.stages.launchers.base import Mode
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import LogSummary, Phase, StageStatus

EVERY_S = 1.0


class StatusWriter:
    """Writes the status at each change of phase or reason, and once a second."""

    def __init__(self, directory: TaskDirectory) -> None:
        self._directory = directory
        self._phase: Phase = "waiting"
        self._reason = ""
        self._written_at = 0.0
        self.mode: Mode | None = None
        self.began_at = datetime.now(UTC)
        self.summary: Callable[[], LogSummary] = LogSummary

    def say(self, phase: Phase, reason: str = "") -> None:
        """What goes on now, and why it is not running."""
        now = time.monotonic()
        if (phase, reason) == (self._phase, self._reason) and now - self._written_at < EVERY_S:
            return
        if phase == self._phase and reason and self._reason and now - self._written_at < EVERY_S:
            return  # The same thing in other words, such as how far a download is.
        self._phase, self._reason, self._written_at = phase, reason, now
        status = StageStatus(
            task_id=self._directory.task_id,
            phase=phase,
            reason=reason,
            node=platform.node(),
            mode=self.mode,
            runner_pid=os.getpid(),
            updated_at=datetime.now(UTC),
            started_at=self.began_at,
            log=self.summary(),
        )
        try:
            self._directory.write_status(status)
        except OSError as error:
            if error.errno not in NO_ROOM:  # A full disk is told by the result.
                raise
