"""A stage runner without stages: it keeps the rules of a task directory and does what the test writes there.

`python -m tiny_runner DIRECTORY`. A file `end` there ends it well, a file `cancel` ends it cancelled. Where `die` is,
it dies at once; where `die_after_status` is, after one more line of log;
where `die_after_outcome` is, without cleaning up.
"""

from __future__ import annotations

import os
import select
import sys
from datetime import UTC, datetime
from pathlib import Path

from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import LogSummary, Outcome, StageResult, StageStatus


def run(path: Path) -> None:
    directory = TaskDirectory(path)
    with (directory.path / "began").open("a") as began:
        began.write(f"{os.getpid()}\n")
    if (directory.path / "die").exists():
        sys.exit("the disk has a hole")
    with directory.hold():
        serve(directory)


def serve(directory: TaskDirectory) -> None:
    started_at = datetime.now(UTC)
    before = directory.status()
    log = before.log if before else LogSummary()
    if (directory.path / "die_after_status").exists():
        log = LogSummary(size_bytes=log.size_bytes + 1)
    directory.write_status(
        StageStatus(
            task_id=directory.task_id,
            phase="running",
            reason="it waits for the test",
            runner_pid=os.getpid(),
            updated_at=started_at,
            started_at=started_at,
            log=log,
        )
    )
    if (directory.path / "die_after_status").exists():
        sys.exit("it got a little further")
    while (ending := requested_ending(directory)) is None:
        select.poll().poll(2)
    outcome, message = ending
    result = StageResult(
        task_id=directory.task_id,
        outcome=outcome,
        message=message,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        node="test",
    )
    directory.write_outcome(result)
    if (directory.path / "die_after_outcome").exists():
        sys.exit("it cannot clean up")
    directory.finalize()


def requested_ending(directory: TaskDirectory) -> tuple[Outcome, str] | None:
    if (reason := directory.cancel_reason()) is not None:
        return "cancelled", reason
    end = directory.path / "end"
    return ("succeeded", "the test ended it") if end.exists() else None


if __name__ == "__main__":
    run(Path(sys.argv[1]))
