"""What engines have in common that keep a directory per task on the machine of the control plane.

On one machine, the runners work in these directories; on a cluster, they are copies that the nodes' agents keep up to
date. Processes that submit, watch and cancel share nothing else, so any of them may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from abc import abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import override

from winslow_dagster.engines.engine import Engine, UnfinishedTask, explanation
from winslow_dagster.errors import EngineError, StoreError, WinslowError
from winslow_dagster.stages.log import LogReader
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.growing_output import GrowingFile, growing_files, open_growing
from winslow_dagster.stages.task.model import LogSummary, Outcome, StageResult, StageStatus, StageTask, UsageCurve
from winslow_dagster.storage.directories import bytes_below, remove_directory

MAX_CACHED_TASKS = 1000
FORGOTTEN = ".forgotten-"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CachedState:
    """What was last read of one task. Threads may overwrite each other's: each value is right in itself."""

    result: StageResult | None = None
    status: StageStatus | None = None
    status_stamp: tuple[int, int] | None = None
    alive: bool = False
    checked_at_s: float = float("-inf")

    def read_status(self, directory: TaskDirectory) -> None:
        """Read the status if it has changed."""
        try:
            stat = os.stat(directory.path / "status.json")  # noqa: PTH116  # many times a second
        except FileNotFoundError:
            return
        # A new file each time; the inode alone could be that of the one before the last.
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self.status_stamp:
            self.status = directory.status()
            self.status_stamp = stamp


class DirectoryEngine(Engine):
    """Keeps the tasks in `tasks_dir`. A lock per task (`start.lock`) makes sure that simultaneous submits start one."""

    def __init__(self, tasks_dir: Path) -> None:
        self._tasks_dir = tasks_dir
        self._cached: dict[str, CachedState] = {}

    @abstractmethod
    def _ensure_served(self, directory: TaskDirectory) -> None:
        """Start a runner if none serves the task and it has no result. Ends one whose end was requested."""

    @override
    def submit(self, task: StageTask) -> None:
        directory = self._directory(task.task_id)
        first = directory.write_task(task)
        if _attempt(first) != _attempt(task):
            raise EngineError(
                f"another task has this id: {'/'.join(map(str, _attempt(first)))}",
                where=task.task_id,
                expected="/".join(map(str, _attempt(task))),
            )
        if first != task:
            changed = sorted(name for name in StageTask.model_fields if getattr(first, name) != getattr(task, name))
            logger.warning("%s continues as first submitted, without the new %s", task.task_id, ", ".join(changed))
        self._ensure_served(directory)

    @override
    def log(self, task_id: str) -> LogReader:
        return LogReader(self._directory(task_id).log)

    @override
    def growing_files(self, task_id: str) -> tuple[GrowingFile, ...]:
        return growing_files(self._directory(task_id).output)

    @override
    def read_growing(self, task_id: str, path: str, most_bytes: int) -> bytes:
        with open(open_growing(self._directory(task_id).output, path), "rb") as file:  # noqa: PTH123  # of a descriptor
            return file.read(most_bytes)

    @override
    def unfinished(self) -> tuple[UnfinishedTask, ...]:
        return tuple(
            UnfinishedTask(
                task_id=task.task_id, run_id=task.run_id, cancel_requested=directory.cancel_reason() is not None
            )
            for directory in self._directories()
            if not has_result(directory) and (task := directory.task()) is not None
        )

    @override
    def cancel(self, task_id: str, reason: str) -> None:
        directory = self._directory(task_id)
        if not (directory.path / "task.json").exists():
            raise EngineError("the task was never submitted, so it cannot be cancelled", where=task_id)
        if directory.result() is None:
            directory.request_cancel(reason)
            self._ensure_served(directory)

    @override
    def cancel_run(self, run_id: str, reason: str) -> None:
        failures = []
        for directory in self._directories():
            if not directory.task_id.startswith(f"{run_id}.") or not (directory.path / "task.json").exists():
                continue
            try:
                self.cancel(directory.task_id, reason)
            except EngineError as error:
                failures.append(str(error))
        if failures:
            raise EngineError("; ".join(failures), where=f"run {run_id}", remedy="Fix the cause and cancel again")

    @override
    def leftovers(self, task_ids: Collection[str]) -> dict[str, int]:
        # What could not be deleted completely is still there.
        remaining = {trash.name.removeprefix(FORGOTTEN): trash for trash in self._trash()}
        remaining |= {directory.task_id: directory.path for directory in self._directories()}
        return {task_id: bytes_below(path) for task_id, path in remaining.items() if task_id in set(task_ids)}

    @override
    def forget(self, task_id: str) -> bool:
        directory = self._directory(task_id)
        trash = directory.path.with_name(f"{FORGOTTEN}{task_id}")
        if directory.path.exists():
            if directory.result() is None:
                raise EngineError("the task has not ended, so it cannot be forgotten", where=task_id)
            with start_lock(directory):
                # In one step, so that half a directory is never taken for a task.
                directory.path.rename(trash)
            self._cached.pop(task_id, None)
        elif not trash.exists():
            return False
        _delete(trash)
        return True

    @override
    def tidy(self, ended_before: datetime, unfinished_runs: Collection[str]) -> tuple[str, ...]:
        forgotten: list[str] = []
        failures: list[WinslowError] = []
        for directory in self._directories():
            result, task = directory.result(), directory.task()
            if result is None or task is None or task.run_id in unfinished_runs or result.ended_at >= ended_before:
                continue
            try:
                self.forget(directory.task_id)
            except (EngineError, StoreError) as error:
                failures.append(error)
            else:
                forgotten.append(directory.task_id)
        failed = {error.where for error in failures}
        for trash in self._trash():
            if str(trash) not in failed:
                try:
                    _delete(trash)
                except EngineError as error:
                    failures.append(error)
        if failures:
            raise failures[0]  # Only now: what cannot be deleted must not keep the rest.
        return tuple(forgotten)

    @override
    def attempt_usage(self, task_id: str) -> UsageCurve | None:
        return self._directory(task_id).usage()

    @override
    def explain(self, task_id: str) -> str:
        return explanation(self.status(task_id))

    def _directory(self, task_id: str) -> TaskDirectory:
        return TaskDirectory.of(self._tasks_dir, task_id)

    def _directories(self) -> Iterator[TaskDirectory]:
        if self._tasks_dir.exists():
            for path in sorted(self._tasks_dir.iterdir()):
                if not path.name.startswith("."):
                    yield TaskDirectory(path)

    def _trash(self) -> list[Path]:
        """Directories of forgotten tasks that have not been deleted completely."""
        return sorted(self._tasks_dir.glob(f"{FORGOTTEN}*"))

    def _cached_state(self, task_id: str) -> CachedState:
        cached = self._cached.get(task_id)
        if cached is not None:
            return cached
        while len(self._cached) >= MAX_CACHED_TASKS:
            self._cached.pop(next(iter(self._cached)), None)
        return self._cached.setdefault(task_id, CachedState())


def has_result(directory: TaskDirectory) -> bool:
    """Whether the task has ended."""
    return (directory.path / "result.json").exists()


@contextlib.contextmanager
def start_lock(directory: TaskDirectory) -> Iterator[None]:
    """One process at a time starts a runner of the task."""
    lock = os.open(directory.path / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def end_without_runner(directory: TaskDirectory, outcome: Outcome, message: str) -> None:
    """Write the result of a task of which nothing has run, or nothing runs any more."""
    status, now = directory.status(), datetime.now(UTC)
    with directory.hold():
        directory.write_outcome(
            StageResult(
                task_id=directory.task_id,
                outcome=outcome,
                message=message,
                started_at=(status and status.started_at) or now,
                ended_at=now,
                node=status.node if status else "",
                mode=status.mode if status else None,
                log=status.log if status else LogSummary(),
            )
        )
        directory.finalize()


def _attempt(task: StageTask) -> tuple[str, str, str, str, int]:
    return task.project, task.pipeline, task.run_id, task.stage, task.attempt


def _delete(path: Path) -> None:
    try:
        remove_directory(path)
    except OSError as error:
        raise EngineError(
            f"cannot be deleted: {error.strerror} ({error.filename})",
            where=str(path),
            remedy="Change its owner or its permissions, or delete it; the rest is deleted at the next attempt",
        ) from error
