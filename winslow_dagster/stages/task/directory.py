"""The directory of one stage attempt on its node: paths, and atomic reads and writes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from winslow_dagster.errors import EngineError
from winslow_dagster.locks import held, take
from winslow_dagster.stages.process_supervisor import create_time_s
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask, UsageCurve

Value = TypeVar("Value", bound=BaseModel)


class AlreadyServed(EngineError):
    """Another runner holds the task's lock."""


def draft_of(path: Path) -> Path:
    """A new file in the same directory, unique to this thread. Only its owner may read it: a task has secrets."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.touch(mode=0o600)
    return draft


def write_atomically(path: Path, text: str) -> None:
    """Replace the content of `path` atomically and durably."""
    draft = draft_of(path)
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def write_quickly(path: Path, text: str) -> None:
    """Replace the content of `path` atomically, but not durably: after a power failure the file may be empty."""
    draft = draft_of(path)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def read_value(path: Path, kind: type[Value]) -> Value | None:
    """The value in `path`, or None if it is missing or empty. Raises EngineError if it is malformed."""
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
    """The files of one attempt. Safe to use from any process at any time."""

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
        """Where the stage keeps what it needs to continue if it is stopped early."""
        return self.path / "checkpoint"

    @property
    def secrets(self) -> Path:
        """Where the stage reads its secrets, one file for each variable.

        Any user of a container can read the files. On the node, only this user can enter the directory above them.
        """
        return self.path / "secrets" / "files"

    def write_secrets(self, values: Mapping[str, str]) -> None:
        """Store the secrets of the task until its program has ended."""
        for directory, mode in ((self.secrets.parent, 0o700), (self.secrets, 0o755)):
            directory.mkdir(exist_ok=True)
            directory.chmod(mode)
        for variable, value in values.items():
            file = self.secrets / variable
            file.write_text(value, encoding="utf-8", newline="")
            file.chmod(0o644)

    def read_secrets(self) -> dict[str, str]:
        """The secrets of the task; none once they have been removed."""
        files = self.secrets.iterdir() if self.secrets.exists() else ()
        return {file.name: file.read_bytes().decode("utf-8") for file in files}

    def remove_secrets(self) -> None:
        """Remove the secrets from this node. Call once the program has ended."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.secrets.parent)

    @property
    def log(self) -> Path:
        """The log's segments."""
        return self.path / "log"

    @property
    def work(self) -> Path:
        """Scratch of the runner: views of the inputs, records, files of process mode."""
        return self.path / "work"

    def write_task(self, task: StageTask) -> StageTask:
        """Store the task unless one is stored already. Returns the stored task: the first to submit an id wins."""
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / "task.json"
        draft = draft_of(target)
        draft.write_text(task.model_dump_json(), encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
        draft.unlink()
        return self.task() or task

    def task(self) -> StageTask | None:
        """The submitted task, or None."""
        return read_value(self.path / "task.json", StageTask)

    def status(self) -> StageStatus | None:
        """The last status written, or None."""
        return read_value(self.path / "status.json", StageStatus)

    def write_status(self, status: StageStatus) -> None:
        """Replace the status."""
        write_quickly(self.path / "status.json", status.model_dump_json())

    def usage(self) -> UsageCurve | None:
        """What the attempt has used so far, or None."""
        return read_value(self.path / "usage.json", UsageCurve)

    def write_usage(self, usage: UsageCurve) -> None:
        """Replace what the attempt has used so far."""
        write_quickly(self.path / "usage.json", usage.model_dump_json())

    def outcome(self) -> StageResult | None:
        """The result before clean-up, or None."""
        return read_value(self.path / "outcome.json", StageResult)

    def write_outcome(self, result: StageResult) -> None:
        """Record how the attempt ended; its container and processes may still exist."""
        write_atomically(self.path / "outcome.json", result.model_dump_json())

    def result(self) -> StageResult | None:
        """The final result, or None until clean-up is complete."""
        return read_value(self.path / "result.json", StageResult)

    def finalize(self) -> None:
        """Make the outcome the result. Call once container, processes and scratch of the attempt are removed."""
        (self.path / "outcome.json").replace(self.path / "result.json")

    def cancel_reason(self) -> str | None:
        """The reason of a cancel request, or None."""
        try:
            return (self.path / "cancel").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def request_cancel(self, reason: str) -> None:
        """Request the end of the task. The first reason is kept."""
        target = self.path / "cancel"
        draft = draft_of(target)
        draft.write_text(reason, encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
        draft.unlink()

    def runner_alive(self) -> bool:
        """Whether a runner holds the task's lock."""
        return held(self.path / "runner.lock")

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the task's lock until the block ends or the process dies. Raises AlreadyServed."""
        lock = os.open(self.path / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not take(lock):
                raise AlreadyServed("another runner serves the task", where=self.task_id)
            identity = {"pid": os.getpid(), "create_time": create_time_s(os.getpid())}
            write_quickly(self.path / "runner.pid", json.dumps(identity))
            yield
        finally:
            os.close(lock)
