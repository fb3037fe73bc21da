"""Where a stage runner starts: five verbs, idempotent by task id. One file per kind (`local.py`, later `slurm.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict

from winslow_dagster.stages.task import NodeGpu, StageResult, StageStatus, StageTask

__all__ = ["Engine", "Node", "NodeGpu", "TaskState"]


class TaskState(BaseModel):
    """What an engine knows of a task. `result` is set once it has ended; `runner_alive` is False when its runner died
    and submitting again would start another that takes the work over.
    """

    model_config = ConfigDict(frozen=True)

    known: bool
    runner_alive: bool = False
    status: StageStatus | None = None
    result: StageResult | None = None


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
    """Starts, watches and ends stage runners. Every method raises EngineError with the task and the cause."""

    @abstractmethod
    def submit(self, task: StageTask) -> None:
        """Make sure a runner serves the task: start one if none is alive and there is no result yet."""

    @abstractmethod
    def status(self, task_id: str) -> TaskState:
        """What is known of the task now. Cheap: called many times a second."""

    @abstractmethod
    def cancel(self, task_id: str, reason: str) -> None:
        """Ask that the task end: TERM, grace, KILL, and a result `cancelled`. Returns at once; watch `status`."""

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """The machines there are."""

    @abstractmethod
    def explain(self, task_id: str) -> str:
        """Why the task is not running, in one sentence a person can act on; empty when it is."""
