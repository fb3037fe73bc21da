"""The last start of a task's runner, recorded beside the task: whether that runner is alive, and how many runners in a
row died without making progress.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from winslow_dagster.engines.hardware import node_name
from winslow_dagster.engines.spawn import ProcessIdentity, boot_id
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_atomically
from winslow_dagster.stages.task.model import LogSummary, StageResult, StageStatus

FILE = "runner_start.json"
MAX_FAILED_STARTS = 5
"""If this many runners in a row die without progress, the attempt is lost."""
HEALTHY_AFTER = timedelta(seconds=30)
"""A runner that was alive this long worked, however silent its stage was."""
MAX_QUOTED_LINES = 5
MAX_QUOTED_CHARACTERS = 1000


class RunnerRecord(Frozen):
    """One start. `failed_starts` counts the starts just before it that failed."""

    pid: int
    create_time: float
    boot_id: str
    started_at: datetime
    progress: tuple[str, int] | None
    failed_starts: int

    @classmethod
    def read(cls, directory: TaskDirectory) -> RunnerRecord | None:
        """The task's last start, or None if there was none."""
        return read_value(directory.path / FILE, cls)

    @classmethod
    def write(cls, directory: TaskDirectory, process: ProcessIdentity, failed_starts: int) -> None:
        """Record the start of `process`. The caller holds the task's start lock."""
        start = cls(
            pid=process.pid,
            create_time=process.create_time,
            boot_id=boot_id(),
            started_at=datetime.now(UTC),
            progress=progress_of(directory.status()),
            failed_starts=failed_starts,
        )
        write_atomically(directory.path / FILE, start.model_dump_json())

    @classmethod
    def alive_in(cls, directory: TaskDirectory) -> bool:
        """Whether a runner serves the task or is about to: it takes its lock only some time after its start."""
        last = cls.read(directory)
        return (last is not None and last.alive()) or directory.runner_alive()

    def alive(self) -> bool:
        """Whether the process of this start is alive."""
        return ProcessIdentity(self.pid, self.create_time).alive() and self.boot_id == boot_id()

    def failed_starts_after(self, status: StageStatus | None) -> int:
        """How many starts in a row failed, now that this one's runner is dead, too."""
        if status is not None and status.updated_at - self.started_at >= HEALTHY_AFTER:
            return 0
        return self.failed_starts + 1 if progress_of(status) == self.progress else 0

    def too_many(self, failed_starts: int) -> bool:
        """Whether to give up."""
        return failed_starts >= MAX_FAILED_STARTS


def progress_of(status: StageStatus | None) -> tuple[str, int] | None:
    """What changes as a runner makes progress: the phase and the size of the log."""
    return None if status is None else (status.phase, status.log.size_bytes)


def lost_result(directory: TaskDirectory, last: RunnerRecord) -> StageResult:
    """The result of a task whose runners all died: `cancelled` if that was requested, otherwise `lost`."""
    status, cancel_reason = directory.status(), directory.cancel_reason()
    message = f"the stage runner died {MAX_FAILED_STARTS} times in a row without making progress"
    if cancel_reason is not None:
        message = f"cancelled ({cancel_reason}); {message} before that"
    last_lines = end_of(directory.path / "runner.log")
    return StageResult(
        task_id=directory.task_id,
        outcome="lost" if cancel_reason is None else "cancelled",
        message=f"{message}. Its last log lines: {last_lines}" if last_lines else f"{message}; its log is empty",
        started_at=(status and status.started_at) or last.started_at,
        ended_at=datetime.now(UTC),
        node=node_name(),
        mode=status.mode if status else None,
        log=status.log if status else LogSummary(),
    )


def end_of(path: Path) -> str:
    """The last few lines of a log, joined into one."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return " | ".join(text.splitlines()[-MAX_QUOTED_LINES:])[-MAX_QUOTED_CHARACTERS:]
