"""Supervises a running stage: follows its log, and stops it on cancel, timeout or error."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from winslow_dagster.stages.disk_space import DISK_FULL_ERRNOS, Space
from winslow_dagster.stages.launchers.base import ExitStatus, StageLauncher
from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.runner.outcome import Stopping, cancelled, timed_out
from winslow_dagster.stages.runner.records import AttemptRecords
from winslow_dagster.stages.runner.status_writer import StatusWriter
from winslow_dagster.stages.runner.usage_recorder import UsageRecorder
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageTask

TICK_S = 0.25
LOOK_EVERY_S = 1.0
KILL_EVERY_S = 2.0


class Supervision:
    """Supervises one stage from its start, or from a takeover, to its end."""

    def __init__(
        self,
        task: StageTask,
        directory: TaskDirectory,
        launcher: StageLauncher,
        writer: LogWriter,
        status_writer: StatusWriter,
    ) -> None:
        self._task = task
        self._directory = directory
        self._launcher = launcher
        self._writer = writer
        self._status_writer = status_writer
        self._records = AttemptRecords(directory.work)
        self._usage = UsageRecorder(directory)
        self._looked_at = 0.0
        self._killed_at = 0.0
        self._reason = ""
        self._low_disk = ""
        self._stop_reading = threading.Event()
        self._reader = threading.Thread(target=self._follow, name="log", daemon=True)
        self._log_failure: OSError | None = None
        self.stopping = self._records.stopping()
        self.full_disk = ""
        self.log_problem = ""
        """Why the log is incomplete; empty if it is complete."""

    def until_ended(self) -> ExitStatus:
        """Wait for the end of the stage. Call `end_log` next: the verdict needs the last line, too."""
        if self.stopping is not None:
            self._launcher.send("TERM")  # The previous runner may have died before it sent the signal.
        self._reader.start()
        self._status_writer.show("running")
        while (exit_status := self._launcher.wait(TICK_S)) is None:
            self._tick()
        self._check_disk()
        return exit_status

    def end_log(self, notes: Sequence[str]) -> None:
        """End the log, with these lines of the runner, once everything printed is in it."""
        try:
            while self._reader.is_alive():
                self._reader.join(TICK_S)
                if self._reader.is_alive():
                    self._show_ending(self._launcher.look() or "reading the rest of its log")
            if self._log_failure is not None:
                raise self._log_failure
            for note in notes:
                self._writer.note(note)
            self._writer.close()
        except OSError as error:
            self.log_problem = f"it cannot be written: {error}"
            if error.errno in DISK_FULL_ERRNOS:
                self.full_disk = self.full_disk or str(Space.at(self._directory.path))

    def _follow(self) -> None:
        try:
            self.log_problem = self._launcher.follow(self._writer, self._stop_reading)
        except OSError as error:
            self._log_failure = error

    def _show_ending(self, reason: str) -> None:
        """Show why a stage that has ended is not done yet; stop reading its log if the attempt is cancelled."""
        cancel_reason = self._directory.cancel_reason()
        if self.stopping is None and cancel_reason is not None:
            self.stopping = Stopping(cause="cancelled", message=cancelled(cancel_reason), at=datetime.now(UTC))
            self._write_stopping(self.stopping)
            self._stop_reading.set()
        self._status_writer.show("running", f"the stage has ended; {reason}")

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._check_disk()
            self._reason = self._launcher.look()
            self._usage.record(self._launcher.usage())
        if self.stopping is None:
            self.stopping = self._reason_to_stop()
            if self.stopping is not None:
                self._write_stopping(self.stopping)
                self._launcher.send("TERM")
        elif self._grace_period_over() and now - self._killed_at >= KILL_EVERY_S:
            self._killed_at = now
            self._launcher.send("KILL")
        stopping = f"{self.stopping.message}; waiting for it to stop" if self.stopping else ""
        self._status_writer.show("running", stopping or self._reason or self._low_disk)

    def _write_stopping(self, stopping: Stopping) -> None:
        try:
            self._records.write_stopping(stopping)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:  # A runner that takes over will find the same reason.
                raise

    def _grace_period_over(self) -> bool:
        if self.stopping is None:
            return False
        return (datetime.now(UTC) - self.stopping.at).total_seconds() > self._task.stop_grace_period_s

    def _reason_to_stop(self) -> Stopping | None:
        now = datetime.now(UTC)
        cancel_reason = self._directory.cancel_reason()
        if cancel_reason is not None:
            return Stopping(cause="cancelled", message=cancelled(cancel_reason), at=now)
        timeout_s = self._task.timeout_s
        if timeout_s is not None and (now - self._status_writer.started_at).total_seconds() > timeout_s:
            return Stopping(cause="timed_out", message=timed_out(timeout_s, self._writer.summary()), at=now)
        if self._log_failure is not None:
            return Stopping(cause="failed", message=self._describe_log_failure(self._log_failure), at=now)
        return None

    def _describe_log_failure(self, error: OSError) -> str:
        if error.errno not in DISK_FULL_ERRNOS:
            return f"stopped because its log cannot be written: {error}"
        self._check_disk()
        return f"the disk is full ({self.full_disk or self._low_disk or error}): the log cannot be written"

    def _check_disk(self) -> None:
        space = Space.at(self._directory.output if self._directory.output.exists() else self._directory.path)
        self._low_disk = str(space) if space.low else ""
        if space.full:
            self.full_disk = str(space)
