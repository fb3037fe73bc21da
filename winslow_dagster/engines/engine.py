"""Where a stage runner starts: a few verbs, idempotent by task id. One file per kind (`local.py`, later `slurm.py`)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from winslow_dagster.stages.task.model import NodeGpu, StageResult, StageStatus, StageTask

__all__ = ["Engine", "Node", "NodeGpu", "TaskState"]

SHORTEST_LOOK_S = 0.005
LONGEST_LOOK_S = 0.25
LOOK_SHARE = 0.02
"""Time between two looks as a share of the attempt's age: waiting adds at most this share to any stage, and a stage
that has run for hours is looked at four times a second."""


class TaskState(BaseModel):
    """What an engine knows of a task. `result` is set once it has ended; `runner_alive` is False when its runner died
    and submitting again would start another that takes the work over.
    """

    model_config = ConfigDict(frozen=True)

    known: bool
    runner_alive: bool = False
    status: StageStatus | None = None
    result: StageResult | None = None

    @property
    def served(self) -> bool:
        """Whether there is nothing to do but wait."""
        return self.result is None and self.runner_alive


class Node(BaseModel):
    """One machine that can run stages."""

    model_config = ConfigDict(frozen=True)

    name: str
    cpus: int
    memory_bytes: int
    gpus: tuple[NodeGpu, ...] = ()
    tags: tuple[str, ...] = ()
    containers: str = ""


class Engine(ABC):
    """Starts, watches and ends stage runners. Every method raises EngineError with the task and the cause.

    Safe to use from any number of processes and threads at once.
    """

    @abstractmethod
    def submit(self, task: StageTask) -> None:
        """Make sure a runner serves the task: start one if none is alive and there is no result yet.

        Runners that die again and again without getting anywhere make the result `lost`. Raises EngineError where
        another task was submitted under the same id.
        """

    @abstractmethod
    def status(self, task_id: str) -> TaskState:
        """What is known of the task now. Cheap: called many times a second."""

    def wait(self, task_id: str, timeout_s: float) -> TaskState:
        """The state once the task has ended, needs another `submit`, or `timeout_s` have passed."""
        began = time.monotonic()
        while True:
            state = self.status(task_id)
            waited_s = time.monotonic() - began
            if not state.served or waited_s >= timeout_s:
                return state
            time.sleep(min(look_again_s(state, waited_s), timeout_s - waited_s))

    @abstractmethod
    def cancel(self, task_id: str, reason: str) -> None:
        """Ask that the task end: TERM, grace, KILL, and a result `cancelled`. Returns at once; watch `status`.

        A runner that obeys is started where none is alive. Nothing happens where there is a result.
        """

    @abstractmethod
    def cancel_run(self, run_id: str, reason: str) -> None:
        """Cancel every unfinished task of a run."""

    @abstractmethod
    def forget(self, task_id: str) -> None:
        """Delete what the node keeps of a task that has ended. Its outputs and its log stay in the store.

        The id must never be submitted again: it would run again. Raises EngineError where the task has not ended;
        nothing happens where it is not known.
        """

    @abstractmethod
    def tidy(self, ended_before: datetime, unfinished_runs: Collection[str]) -> tuple[str, ...]:
        """Forget what ended before then, except tasks of `unfinished_runs`, whose workers may still ask for them.

        Gives the ids that were forgotten.
        """

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """The machines there are."""

    @abstractmethod
    def explain(self, task_id: str) -> str:
        """Why the task is not running, in one sentence a person can act on; empty when it is."""


def look_again_s(state: TaskState, waited_s: float) -> float:
    """How long to wait before the next look."""
    age_s = waited_s
    if state.status is not None and state.status.started_at is not None:
        age_s = (datetime.now(UTC) - state.status.started_at) / timedelta(seconds=1)
    return min(max(age_s * LOOK_SHARE, SHORTEST_LOOK_S), LONGEST_LOOK_S)


def explanation(state: TaskState) -> str:
    """Why a task in this state is not running."""
    if not state.known:
        return "It was not submitted."
    if state.result is not None:
        return ""
    if not state.runner_alive:
        return "Its runner ended before the stage did; the run worker starts another, which takes over."
    if state.status is None:
        return "Its runner is starting."
    return state.status.reason
