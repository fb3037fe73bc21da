"""An engine without runners, for tests of whatever uses an engine: results are given, nothing runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from typing_extensions import override

from winslow_dagster.engines.engine import Engine, Node, TaskState, explanation
from winslow_dagster.engines.runner_records import MOST_FRUITLESS
from winslow_dagster.errors import EngineError
from winslow_dagster.stages.task.model import Outcome, StageResult, StageStatus, StageTask
from winslow_dagster.storage.manifest import Manifest

NODE = Node(name="memory", cpus=1, memory_bytes=1 << 30)


@dataclass(slots=True)
class Entry:
    """One task and what was said about it."""

    task: StageTask
    alive: bool = True
    fruitless: int = 0
    status: StageStatus | None = None
    result: StageResult | None = None


class InMemoryEngine(Engine):
    """Tasks live in this object. The test says how each goes on: `tell`, `end`, `lose_runner`."""

    def __init__(self, nodes: tuple[Node, ...] = (NODE,)) -> None:
        self._nodes = nodes
        self._entries: dict[str, Entry] = {}

    @property
    def tasks(self) -> tuple[StageTask, ...]:
        """What was submitted, in order."""
        return tuple(entry.task for entry in self._entries.values())

    def tell(self, status: StageStatus) -> None:
        """Let the task's runner say this."""
        entry = self._entry(status.task_id)
        entry.status = status
        entry.fruitless = 0

    def end(
        self, task_id: str, outcome: Outcome = "succeeded", message: str = "", outputs: Manifest | None = None
    ) -> StageResult:
        """Let the task end so; its message says what a person would read."""
        now = datetime.now(UTC)
        entry = self._entry(task_id)
        entry.alive = False
        entry.result = StageResult(
            task_id=task_id,
            outcome=outcome,
            message=message or f"the stage ended: {outcome}",
            started_at=now,
            ended_at=now,
            node=self._nodes[0].name,
            outputs=outputs,
        )
        return entry.result

    def lose_runner(self, task_id: str) -> None:
        """Let the task's runner die."""
        self._entry(task_id).alive = False

    @override
    def submit(self, task: StageTask) -> None:
        entry = self._entries.setdefault(task.task_id, Entry(task))
        if (entry.task.run_id, entry.task.project, entry.task.stage) != (task.run_id, task.project, task.stage):
            raise EngineError(f"another task has this id: {entry.task.stage}", where=task.task_id)
        self._make_sure_it_is_served(entry)

    @override
    def status(self, task_id: str) -> TaskState:
        entry = self._entries.get(task_id)
        if entry is None:
            return TaskState(known=False)
        return TaskState(known=True, runner_alive=entry.alive, status=entry.status, result=entry.result)

    @override
    def cancel(self, task_id: str, reason: str) -> None:
        if self._entry(task_id).result is None:
            self.end(task_id, "cancelled", reason)

    @override
    def cancel_run(self, run_id: str, reason: str) -> None:
        for task in self.tasks:
            if task.run_id == run_id:
                self.cancel(task.task_id, reason)

    @override
    def forget(self, task_id: str) -> None:
        if task_id in self._entries and self._entries[task_id].result is None:
            raise EngineError("the task has not ended, so it cannot be forgotten", where=task_id)
        self._entries.pop(task_id, None)

    @override
    def tidy(self, ended_before: datetime, unfinished_runs: Collection[str]) -> tuple[str, ...]:
        old = tuple(
            entry.task.task_id
            for entry in self._entries.values()
            if entry.result is not None
            and entry.result.ended_at < ended_before
            and entry.task.run_id not in unfinished_runs
        )
        for task_id in old:
            self.forget(task_id)
        return old

    @override
    def nodes(self) -> tuple[Node, ...]:
        return self._nodes

    @override
    def explain(self, task_id: str) -> str:
        return explanation(self.status(task_id))

    def _entry(self, task_id: str) -> Entry:
        if task_id not in self._entries:
            raise EngineError("the task was never submitted", where=task_id)
        return self._entries[task_id]

    def _make_sure_it_is_served(self, entry: Entry) -> None:
        if entry.alive or entry.result is not None:
            return
        entry.fruitless += 1
        if entry.fruitless >= MOST_FRUITLESS:
            self.end(entry.task.task_id, "lost", f"the stage runner died {MOST_FRUITLESS} times in a row")
        else:
            entry.alive = True
