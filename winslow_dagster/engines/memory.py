"""An engine without runners, for tests of whatever uses an engine: the test decides how each task proceeds."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

from typing_extensions import override

from winslow_dagster.engines.engine import (
    Drain,
    Engine,
    GpuUsage,
    Node,
    NodeImage,
    NodeUsage,
    Orphan,
    TaskState,
    UnfinishedTask,
    explanation,
    missing_tags,
    unknown_node,
)
from winslow_dagster.engines.runner_records import MAX_FAILED_STARTS
from winslow_dagster.errors import EngineError
from winslow_dagster.stages.log import LogReader
from winslow_dagster.stages.log.lines import stamped
from winslow_dagster.stages.log.segments import HEAD_BYTES, OPEN, Segment
from winslow_dagster.stages.task.model import Outcome, StageResult, StageStatus, StageTask
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.range_reader import RangeReader

NODE = Node(name="memory", cpus=1, memory_bytes=1 << 30)
FIRST_SEGMENT = Segment(1, OPEN).name


class LogInMemory:
    """A growing log of one segment, read in byte ranges as that of a remote node would be."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, text: str) -> None:
        """Append lines of stdout."""
        self._content += stamped(text.encode(), "stdout", time.time_ns())

    def names(self) -> list[str]:
        """The names of all files."""
        return [FIRST_SEGMENT] if self._content else []

    def open(self, name: str) -> BinaryIO:
        """One file."""
        if name not in self.names():
            raise FileNotFoundError(name)
        return io.BufferedReader(RangeReader(lambda begin, end: bytes(self._content[begin:end]), sys.maxsize))

    def head(self, name: str) -> tuple[bytes, int]:
        """The first bytes of a file, and its size."""
        del name  # there is one
        return bytes(self._content[:HEAD_BYTES]), len(self._content)


@dataclass(slots=True)
class Entry:
    """One task and its state."""

    task: StageTask
    alive: bool = True
    failed_starts: int = 0
    status: StageStatus | None = None
    result: StageResult | None = None
    log: LogInMemory = field(default_factory=LogInMemory)


class InMemoryEngine(Engine):
    """Tasks live in this object. The test calls `report`, `write_log`, `end`, `lose_runner`, `leave_orphan`,
    `change_nodes`.

    `image_sizes` are the images that the node has, `priorities` the numbers by which tasks were reordered, `gpu_uses`
    what is in use of the GPUs of each node.
    """

    def __init__(self, nodes: tuple[Node, ...] = (NODE,)) -> None:
        self.image_sizes: dict[str, int] = {}
        self.priorities: dict[str, int] = {}
        self.gpu_uses: dict[str, tuple[GpuUsage, ...]] = {}
        self._orphans: list[Orphan] = []
        self._nodes = nodes
        self._entries: dict[str, Entry] = {}

    @property
    def tasks(self) -> tuple[StageTask, ...]:
        """All submitted tasks, in order."""
        return tuple(entry.task for entry in self._entries.values())

    def report(self, status: StageStatus) -> None:
        """Let the task's runner report this status."""
        entry = self._entry(status.task_id)
        entry.status = status
        entry.failed_starts = 0

    def end(
        self, task_id: str, outcome: Outcome = "succeeded", message: str = "", outputs: Manifest | None = None
    ) -> StageResult:
        """Let the task end with this result."""
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

    def change_nodes(self, nodes: tuple[Node, ...]) -> None:
        """Let machines join, leave or change. One that was drained and stays is drained no more."""
        self._nodes = nodes

    def lose_runner(self, task_id: str) -> None:
        """Let the task's runner die."""
        self._entry(task_id).alive = False

    def write_log(self, task_id: str, text: str) -> None:
        """Let the stage print these lines."""
        self._entry(task_id).log.write(text)

    def leave_orphan(self, orphan: Orphan) -> None:
        """Let something of the attempt run; it is an orphan once the attempt has ended."""
        self._orphans.append(orphan)

    @override
    def submit(self, task: StageTask) -> None:
        entry = self._entries.setdefault(task.task_id, Entry(task))
        if reason := missing_tags(entry.task, self._nodes):
            self.end(task.task_id, "failed", reason)
        if (entry.task.run_id, entry.task.project, entry.task.stage) != (task.run_id, task.project, task.stage):
            raise EngineError(f"another task has this id: {entry.task.stage}", where=task.task_id)
        self._ensure_runner(entry)

    @override
    def status(self, task_id: str) -> TaskState:
        entry = self._entries.get(task_id)
        if entry is None:
            return TaskState(known=False)
        return TaskState(known=True, runner_alive=entry.alive, status=entry.status, result=entry.result)

    @override
    def log(self, task_id: str) -> LogReader:
        entry = self._entries.get(task_id)
        return LogReader(entry.log if entry else LogInMemory())

    @override
    def unfinished(self) -> tuple[UnfinishedTask, ...]:
        return tuple(
            UnfinishedTask(task_id=entry.task.task_id, run_id=entry.task.run_id, cancel_requested=False)
            for entry in self._entries.values()
            if entry.result is None
        )

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
    def remove_orphans(self) -> tuple[Orphan, ...]:
        unfinished = {task.task_id for task in self.unfinished()}
        removed = tuple(orphan for orphan in self._orphans if orphan.task_id not in unfinished)
        self._orphans = [orphan for orphan in self._orphans if orphan.task_id in unfinished]
        return removed

    @override
    def leftovers(self, task_ids: Collection[str]) -> dict[str, int]:
        wanted = set(task_ids)
        return {
            task_id: len(entry.task.model_dump_json()) for task_id, entry in self._entries.items() if task_id in wanted
        }

    @override
    def forget(self, task_id: str) -> bool:
        if task_id in self._entries and self._entries[task_id].result is None:
            raise EngineError("the task has not ended, so it cannot be forgotten", where=task_id)
        return self._entries.pop(task_id, None) is not None

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
    def cache_bytes(self) -> int:
        return 0

    @override
    def image_digest(self, task: StageTask) -> str | None:
        if task.image is None or task.mode == "process":
            return None
        return f"sha256:{task.image}" if task.image in self.image_sizes else ""

    @override
    def images(self, names: Collection[str]) -> tuple[NodeImage, ...]:
        return tuple(NodeImage(name=name, size_bytes=self.image_sizes.get(name)) for name in names)

    @override
    def node_usage(self) -> tuple[NodeUsage, ...]:
        return tuple(
            NodeUsage(
                name=node.name,
                cpu_percent=0.0,
                memory_used_bytes=0,
                memory_total_bytes=node.memory_bytes,
                disk_free_bytes=node.memory_bytes,
                disk_total_bytes=node.memory_bytes,
                gpus=self.gpu_uses.get(node.name, ()),
            )
            for node in self._nodes
        )

    @override
    def nodes(self) -> tuple[Node, ...]:
        return self._nodes

    @override
    def drain(self, node: str, *, by: str, reason: str = "") -> None:
        self._change(node, Drain(by=by, at=datetime.now(UTC), reason=reason))

    @override
    def undrain(self, node: str) -> bool:
        return self._change(node, None)

    @override
    def set_priorities(self, priorities: Mapping[str, int]) -> None:
        self.priorities |= priorities

    @override
    def explain(self, task_id: str) -> str:
        return explanation(self.status(task_id))

    def _change(self, name: str, drain: Drain | None) -> bool:
        """Replace the drain of a node. Returns whether it had one."""
        found = next((node for node in self._nodes if node.name == name), None)
        if found is None:
            raise unknown_node(name, self._nodes)
        changed = found.model_copy(update={"drain": drain})
        self._nodes = tuple(changed if node.name == name else node for node in self._nodes)
        return found.drain is not None

    def _entry(self, task_id: str) -> Entry:
        if task_id not in self._entries:
            raise EngineError("the task was never submitted", where=task_id)
        return self._entries[task_id]

    def _ensure_runner(self, entry: Entry) -> None:
        if entry.alive or entry.result is not None:
            return
        entry.failed_starts += 1
        if entry.failed_starts >= MAX_FAILED_STARTS:
            self.end(entry.task.task_id, "lost", f"the stage runner died {MAX_FAILED_STARTS} times in a row")
        else:
            entry.alive = True
