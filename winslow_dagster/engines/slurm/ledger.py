"""What the control plane has submitted for a task, and which of its servings is the newest.

A serving is one agent on one node that works on the task. Its number rises and is never given twice: neither Slurm's
job id nor its restart counter can be that, both repeat. The ledger is a file beside the task, and changes under a lock,
as there is one control plane. Which result counts is decided by the attempt's row in the database, once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_atomically
from winslow_dagster.stages.task.model import StageTask

FILE = "slurm.json"
LOCK = "slurm.lock"


class Submission(Frozen):
    """A job that was given to Slurm. `progress` is how far the task was, `failed_before` how many failed in a row.

    `refused`: its node turned out to have too small GPUs, and is left out from now on.
    """

    number: int
    at_s: float
    job_id: str = ""
    progress: tuple[str, int] | None = None
    failed_before: int = 0
    refused: bool = False


class Held(Frozen):
    """A job that Slurm did not take, because no node can run it yet. It is tried again after `until_s`."""

    reason: str
    until_s: float


class Ledger(Frozen):
    """`numbers` counts submissions, `serving` is the newest serving's number and `served` its submission's."""

    numbers: int = 0
    last: Submission | None = None
    held: Held | None = None
    serving: int = 0
    served: int = 0
    node: str = ""

    @classmethod
    def read(cls, directory: TaskDirectory) -> Ledger:
        """The ledger of the task; an empty one before its first submission."""
        return read_value(directory.path / FILE, cls) or cls()

    def write(self, directory: TaskDirectory) -> Ledger:
        """Store it, to last. Returns it."""
        write_atomically(directory.path / FILE, self.model_dump_json())
        return self

    def changed(self, **fields: object) -> Ledger:
        """The ledger with other values."""
        return self.model_copy(update=fields)

    @property
    def greeted(self) -> bool:
        """Whether the agent of the last submission has begun."""
        return self.last is not None and self.served == self.last.number


@contextlib.contextmanager
def ledger_lock(directory: TaskDirectory) -> Iterator[None]:
    """One process at a time changes the ledger, or what a serving has written. Raises FileNotFoundError."""
    lock = os.open(directory.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def of_serving(task: StageTask, serving: int) -> StageTask:
    """The task as one serving works on it: what it writes has places of its own, on the node and in the store."""
    return task.model_copy(
        update={
            "task_id": f"{task.task_id}.s{serving}",
            "output_address": f"{task.output_address}/s{serving}",
            "log_address": f"{task.log_address}/s{serving}",
        }
    )
