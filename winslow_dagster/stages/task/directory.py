"""The directory of one stage attempt on its node: where every file of it lies, and who may write when."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from winslow_dagster.errors import EngineError
from winslow_dagster.locks import held, take
from winslow_dagster.stages.process_supervisor import create_time_s
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask

Value = TypeVar("Value", bound=BaseModel)


class AlreadyServed(EngineError):
    """Another live runner holds the task."""


def draft_of(path: Path) -> Path:
    """A name beside `path` that no other writer uses at the same time."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`; a reader sees the old or the new content, after a power cut too."""
    draft = draft_of(path)
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def write_quickly(path: Path, text: str) -> None:
    """The same for what may be lost in a power cut: the file is empty then, and counts as not there."""
    draft = draft_of(path)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def read_value(path: Path, kind: type[Value]) -> Value | None:
    """The value in `path`, or None where there is none. Raises EngineError when it holds something else."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    if not text:
        return None
    try:
        return kind.model_validate_json(text)
    except ValueError as error:
        raise EngineError(f"{path.name} cannot be read: {error}", where=str(path)) from error


@dataclass(frozen=True, slots=True)
class TaskDirectory:
    """Paths and atomic reads and writes of one attempt. Safe to use from any process at any time."""

    path: Path

    @classmethod
    def of(cls, tasks_dir: Path, task_id: str) -> TaskDirectory:
        """The directory of `task_id`; it need not exist yet."""
        return cls(tasks_dir / task_id)

    @property
    def task_id(self) -> str:
        """The attempt's id, which is the directory's name."""
        return self.path.name

    @property
    def output(self) -> Path:
        """Where the stage writes."""
        return self.path / "output"

    @property
    def checkpoint(self) -> Path:
        """Where the stage keeps what it would need to go on, were it ended before it is done."""
        return self.path / "checkpoint"

    @property
    def log(self) -> Path:
        """The log's segments."""
        return self.path / "log"

    @property
    def work(self) -> Path:
        """Scratch of the runner and of process mode: views of the inputs, records of the process."""
        return self.path / "work"

    def write_task(self, task: StageTask) -> StageTask:
        """Store the task unless one is there already; gives the one that is. The first to submit an id wins."""
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / "task.json"
        draft = draft_of(target)
        draft.write_text(task.model_dump_json(), encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
        draft.unlink()
        return self.task() or task

    def task(self) -> StageTask | None:
        """What is asked, or None where nothing was submitted."""
        return read_value(self.path / "task.json", StageTask)

    def status(self) -> StageStatus | None:
        """What the last runner said last."""
        return read_value(self.path / "status.json", StageStatus)

    def write_status(self, status: StageStatus) -> None:
        """Replace the status."""
        write_quickly(self.path / "status.json", status.model_dump_json())

    def outcome(self) -> StageResult | None:
        """The result before clean-up, or None."""
        return read_value(self.path / "outcome.json", StageResult)

    def write_outcome(self, result: StageResult) -> None:
        """Say how it ended; container and process may still be there."""
        write_atomically(self.path / "outcome.json", result.model_dump_json())

    def result(self) -> StageResult | None:
        """The final result, or None while there is work left."""
        return read_value(self.path / "result.json", StageResult)

    def finalize(self) -> None:
        """Make the outcome the result, once everything of the attempt is really gone."""
        (self.path / "outcome.json").replace(self.path / "result.json")

    def cancel_reason(self) -> str | None:
        """Why the task shall end, or None where nobody asked."""
        try:
            return (self.path / "cancel").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def ask_cancel(self, reason: str) -> None:
        """Ask that the task end. The first reason stands."""
        target = self.path / "cancel"
        draft = draft_of(target)
        draft.write_text(reason, encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
        draft.unlink()

    def runner_alive(self) -> bool:
        """Whether a runner serves the task now, as the kernel knows it."""
        return held(self.path / "runner.lock")

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Serve the task: hold its lock until the block ends or the process dies. Raises AlreadyServed."""
        lock = os.open(self.path / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not take(lock):
                raise AlreadyServed("another runner serves the task", where=self.task_id)
            identity = {"pid": os.getpid(), "create_time": create_time_s(os.getpid())}
            write_quickly(self.path / "runner.pid", json.dumps(identity))
            yield
        finally:
            os.close(lock)
