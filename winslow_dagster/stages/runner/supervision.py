"""A running stage: its log is followed, and it is ended when it shall end."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from winslow_dagster.stages.disk import NO_ROOM, Space
from winslow_dagster.stages.launchers.base import Exit, Launcher
from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.runner.outcome import Stopping, cancelled, timed_out
from winslow_dagster.stages.runner.records import Records
from winslow_dagster.stages.runner.status_writer import StatusWriter
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageTask

TICK_S = 0.25
LOOK_EVERY_S = 1.0
KILL_EVERY_S = 2.0
LOG_STUCK_S = 30.0
"""After the end: this long without a new line, and the log is taken as it is."""


class Supervision:
    """Watches one stage from its start, or from a take-over, to its end."""

    def __init__(
        self,
        task: StageTask,
        directory: TaskDirectory,
        launcher: Launcher,
        writer: LogWriter,
        status_writer: StatusWriter,
    ) -> None:
        self._task = task
        self._directory = directory
        self._launcher = launcher
        self._writer = writer
        self._status_writer = status_writer
        self._records = Records(directory.work)
        self._looked_at = 0.0
        self._killed_at = 0.0
        self._reason = ""
        self._low_disk = ""
        self._log_failure: OSError | None = None
        self.stopping = self._records.stopping()
        self.full_disk = ""

    def until_ended(self) -> Exit:
        """How the stage ended, with its log complete."""
        if self.stopping is not None:
            self._launcher.send("TERM")  # Its runner may have died between the record and the signal.
        stop = threading.Event()
        reader = threading.Thread(target=self._follow, args=(stop,), name="log", daemon=True)
        reader.start()
        self._status_writer.say("running")
        while (how := self._launcher.wait(TICK_S)) is None:
            self._tick()
        self._finish_log(reader, stop)
        self._look_at_disk()
        return how

    def _follow(self, stop: threading.Event) -> None:
        try:
            self._launcher.follow(self._writer, stop)
        except OSError as error:
            self._log_failure = error

    def _finish_log(self, reader: threading.Thread, stop: threading.Event) -> None:
        """Wait until everything that was printed is in the log."""
        lines, grown_at = 0, time.monotonic()
        while reader.is_alive():
            reader.join(TICK_S)
            now_lines = self._writer.summary().lines
            if now_lines != lines:
                lines, grown_at = now_lines, time.monotonic()
            if time.monotonic() - grown_at > LOG_STUCK_S:
                stop.set()
            if reader.is_alive():
                self._status_writer.say("running", "the stage has ended; its log is being read to the end")

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look_at_disk()
            self._reason = self._launcher.look()
        if self.stopping is None:
            self.stopping = self._reason_to_stop()
            if self.stopping is not None:
                self._write_stopping(self.stopping)
                self._launcher.send("TERM")
        elif self._grace_is_over() and now - self._killed_at >= KILL_EVERY_S:
            self._killed_at = now
            self._launcher.send("KILL")
        ending = f"{self.stopping.message}; waiting for its end" if self.stopping else ""
        self._status_writer.say("running", ending or self._reason or self._low_disk)

    def _write_stopping(self, stopping: Stopping) -> None:
        try:
            self._records.write_stopping(stopping)
        except OSError as error:
            if error.errno not in NO_ROOM:  # A runner that has to take over finds the same reason by itself.
                raise

    def _grace_is_over(self) -> bool:
        if self.stopping is None:
            return False
        return (datetime.now(UTC) - self.stopping.at).total_seconds() > self._task.stop_grace_period_s

    def _reason_to_stop(self) -> Stopping | None:
        now = datetime.now(UTC)
        asked = self._directory.cancel_reason()
        if asked is not None:
            return Stopping(cause="cancelled", message=cancelled(asked), at=now)
        timeout_s = self._task.timeout_s
        if timeout_s is not None and (now - self._status_writer.began_at).total_seconds() > timeout_s:
            return Stopping(cause="timed_out", message=timed_out(timeout_s, self._writer.summary()), at=now)
        if self._log_failure is not None:
            return Stopping(cause="failed", message=self._log_failure_in_words(self._log_failure), at=now)
        return None

    def _log_failure_in_words(self, error: OSError) -> str:
        if error.errno not in NO_ROOM:
            return f"ended, for its log cannot be written: {error}"
        self._look_at_disk()
        return f"the disk is full ({self.full_disk or self._low_disk or error}): not even the log can be written"

    def _look_at_disk(self) -> None:
        space = Space.at(self._directory.output if self._directory.output.exists() else self._directory.path)
        self._low_disk = str(space) if space.low else ""
        if space.full:
            self.full_disk = str(space)
