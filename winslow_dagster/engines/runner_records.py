"""The last start of a task's runner, written down beside the task: whether that runner lives, and how often in a row
one died without having got anywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from winslow_dagster.engines.hardware import node_name
from winslow_dagster.engines.spawn import ProcessIdentity
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_atomically
from winslow_dagster.stages.task.model import LogSummary, StageResult, StageStatus

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FILE = "runner_start.json"
MOST_FRUITLESS = 5
"""This many runners in a row that died without progress make the attempt lost."""
HEALTHY_AFTER = timedelta(seconds=30)
"""A runner that lived this long did its work, however silent its stage was."""
QUOTED_LINES = 5
QUOTED_CHARACTERS = 1000


class RunnerRecord(Frozen):
    """One start. `fruitless` counts the starts just before it that came to nothing."""

    pid: int
    create_time: float
    boot_id: str
    started_at: datetime
    progress: tuple[str, int] | None
    fruitless: int

    @classmethod
    def read(cls, directory: TaskDirectory) -> RunnerRecord | None:
        """The task's last start, or None where there was none."""
        return read_value(directory.path / FILE, cls)

    @classmethod
    def write(cls, directory: TaskDirectory, process: ProcessIdentity, fruitless: int) -> None:
        """Write the start of `process` down. The caller holds the task's start lock."""
        start = cls(
            pid=process.pid,
            create_time=process.create_time,
            boot_id=BOOT_ID.read_text().strip(),
            started_at=datetime.now(UTC),
            progress=progress_of(directory.status()),
            fruitless=fruitless,
        )
        write_atomically(directory.path / FILE, start.model_dump_json())

    @classmethod
    def alive_in(cls, directory: TaskDirectory) -> bool:
        """Whether a runner serves the task or is about to: between its start and its lock there is only its process."""
        last = cls.read(directory)
        return (last is not None and last.alive()) or directory.runner_alive()

    def alive(self) -> bool:
        """Whether the process of this start lives."""
        return ProcessIdentity(self.pid, self.create_time).alive() and self.boot_id == BOOT_ID.read_text().strip()

    def fruitless_after(self, status: StageStatus | None) -> int:
        """How many starts in a row came to nothing, now that this one's runner is dead too."""
        if status is not None and status.updated_at - self.started_at >= HEALTHY_AFTER:
            return 0
        return self.fruitless + 1 if progress_of(status) == self.progress else 0

    def too_many(self, fruitless: int) -> bool:
        """Whether another start makes no sense."""
        return fruitless >= MOST_FRUITLESS


def progress_of(status: StageStatus | None) -> tuple[str, int] | None:
    """What changes when a runner gets anywhere: the phase, and how much of the log is written."""
    return None if status is None else (status.phase, status.log.size_bytes)


def lost_result(directory: TaskDirectory, last: RunnerRecord) -> StageResult:
    """How a task ended whose runners all died; `cancelled` where that had been asked."""
    status, asked = directory.status(), directory.cancel_reason()
    message = f"the stage runner died {MOST_FRUITLESS} times in a row without getting any further"
    if asked is not None:
        message = f"cancelled ({asked}); {message} before that"
    quoted = end_of(directory.path / "runner.log")
    return StageResult(
        task_id=directory.task_id,
        outcome="lost" if asked is None else "cancelled",
        message=f"{message}. Its last words: {quoted}" if quoted else f"{message}, and it left no word",
        started_at=(status and status.started_at) or last.started_at,
        ended_at=datetime.now(UTC),
        node=node_name(),
        mode=status.mode if status else None,
        log=status.log if status else LogSummary(),
    )


def end_of(path: Path) -> str:
    """The last few lines of a log, in one."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return " | ".join(text.splitlines()[-QUOTED_LINES:])[-QUOTED_CHARACTERS:]
