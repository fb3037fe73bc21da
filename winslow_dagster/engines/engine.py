"""The interface of an engine: it starts stage runners on nodes, idempotent by task id. One file per kind (`local.py`).

Nothing above an engine looks at a node's disk, processes, sockets or container runtime.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from pydantic import Field

from winslow_dagster.engines.node_usage import GpuUsage, NodeUsage
from winslow_dagster.engines.usage_rings import Span
from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.log import LogReader
from winslow_dagster.stages.node_drain import Drain
from winslow_dagster.stages.task.growing_output import GrowingFile
from winslow_dagster.stages.task.model import NodeGpu, StageResult, StageStatus, StageTask, UsageCurve

__all__ = [
    "Drain",
    "Engine",
    "GpuUsage",
    "Node",
    "NodeGpu",
    "NodeImage",
    "NodeUsage",
    "Orphan",
    "Span",
    "TaskState",
    "UnfinishedTask",
    "UsageHistory",
]

MIN_POLL_S = 0.005
MAX_POLL_S = 0.25
POLL_SHARE = 0.02
"""Poll interval as a share of the attempt's age: waiting adds at most this share to any stage, and a stage that has run
for hours is polled four times a second."""


class TaskState(Frozen):
    """The state of a task. `result` is set once it has ended.

    If `runner_alive` is False before that, its runner died; submitting the task again starts another, which takes over.
    `runner_started` is False while its first runner has yet to be started. `cannot_tell` is why the engine cannot know
    now whether its runner is alive, which then counts as alive; empty if it does.
    """

    known: bool
    runner_started: bool = True
    runner_alive: bool = False
    cannot_tell: str = ""
    status: StageStatus | None = None
    result: StageResult | None = None

    @property
    def served(self) -> bool:
        """Whether a runner is working on it, so that there is nothing to do but wait."""
        return self.result is None and self.runner_alive

    @property
    def running(self) -> bool:
        """Whether its program runs, or what that made is being stored."""
        return self.served and self.status is not None and self.status.phase in {"running", "storing"}


class UnfinishedTask(Frozen):
    """A task that has no result yet."""

    task_id: str
    run_id: str
    cancel_requested: bool


class Orphan(Frozen):
    """Something of a finished attempt that was still running on a node."""

    task_id: str
    kind: Literal["container", "process"]


class Node(Frozen):
    """A machine that can run stages."""

    name: str
    cpus: int
    memory_bytes: int
    gpus: tuple[NodeGpu, ...] = ()
    tags: tuple[str, ...] = ()
    containers: str | None = None
    """The container runtime and its version; empty if there is none, None where an engine cannot tell."""
    container_runtimes: tuple[str, ...] = ()
    """What Docker runs containers with, such as `runc` and `nvidia`."""
    cdi_devices: tuple[str, ...] = ()
    """Devices that the node offers containers by the Container Device Interface, such as `nvidia.com/gpu=0`."""
    gpu_notes: tuple[str, ...] = ()
    """Why GPUs of some kind were not found or cannot be used, by programs or by containers."""
    drain: Drain | None = None
    """Set while the node takes no new stage."""


class UsageHistory(Frozen):
    """What was in use on a node over a span of time, at most `points` moments apart by at least `step_s`.

    Each series has a value for each moment of `at` (seconds since 1970), None where it is not known. `gpus` has the
    series of each GPU by its id.
    """

    node: str
    step_s: int
    at: tuple[int, ...] = ()
    series: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    gpus: dict[str, dict[str, tuple[float | None, ...]]] = Field(default_factory=dict)


class NodeImage(Frozen):
    """A container image. `size_bytes` is None if no node has it yet."""

    name: str
    size_bytes: int | None

    @property
    def present(self) -> bool:
        """Whether a stage can start in it without pulling it first."""
        return self.size_bytes is not None


class AgentDesk(Protocol):
    """Takes what the agents on other machines say. `message` is JSON, as is the answer."""

    def require_key(self, task_id: str, submission: int, key: str) -> None:
        """Raise NotLoggedIn unless the agent that this submission of the task started has the key."""

    def require_proof(self, task_id: str, submission: int, proof: str) -> None:
        """Raise NotLoggedIn unless the proof is that of a job which this submission started. It has no key yet."""

    def answer(self, task_id: str, submission: int, verb: str, message: bytes) -> bytes:
        """Do what the message says. Raises Fenced if a newer runner serves the task, NotFound for an unknown verb."""


class Engine(ABC):
    """Starts, watches and ends stage runners. Every method raises EngineError with the task and the cause.

    Safe to use from any number of processes and threads at once.
    """

    @abstractmethod
    def submit(self, task: StageTask) -> None:
        """Make sure a runner serves the task: start one if none is alive and there is no result yet.

        Does nothing while what starts runners is away: `status` then says so, and asks for another `submit` once it is
        back. The result is `failed` if no node has all of the task's `node_tags`, and `lost` if its runners die
        repeatedly without making progress. Raises EngineError if another task was submitted under the same id.
        """

    @abstractmethod
    def status(self, task_id: str) -> TaskState:
        """The state of the task. Cheap enough to be called many times a second."""

    def wait(self, task_id: str, timeout_s: float) -> TaskState:
        """Wait until the task has ended, needs another `submit`, or `timeout_s` has passed; returns its state."""
        started_s = time.monotonic()
        while True:
            state = self.status(task_id)
            waited_s = time.monotonic() - started_s
            if not state.served or waited_s >= timeout_s:
                return state
            time.sleep(min(poll_interval_s(state, waited_s), timeout_s - waited_s))

    @abstractmethod
    def log(self, task_id: str) -> LogReader:
        """The log of the task, which may still be growing; empty if the nodes have none.

        A finished attempt's log is in the store, too, and stays there when the task is forgotten.
        """

    def growing_files(self, task_id: str) -> tuple[GrowingFile, ...]:
        """What a running task has written so far, as far as its node has said; nothing where an engine cannot tell."""
        del task_id
        return ()

    def read_growing(self, task_id: str, path: str, most_bytes: int) -> bytes:
        """The beginning of a file that a running task is writing. Raises NotFound.

        On another machine's file, the first call has nothing to return; the content follows while calls go on.
        """
        raise NotFound(f"{task_id} has no file {path!r} of up to {most_bytes} bytes yet")

    @abstractmethod
    def unfinished(self) -> tuple[UnfinishedTask, ...]:
        """All submitted tasks that have no result."""

    @abstractmethod
    def cancel(self, task_id: str, reason: str) -> None:
        """Request that the task end: TERM, grace period, KILL, result `cancelled`. Returns at once; poll `status`.

        Starts a runner to do so if none is alive. Does nothing if there is a result.
        """

    @abstractmethod
    def cancel_run(self, run_id: str, reason: str) -> None:
        """Cancel every unfinished task of a run."""

    @abstractmethod
    def remove_orphans(self) -> tuple[Orphan, ...]:
        """Remove containers and processes of attempts that have ended or are not known. Returns what it removed."""

    @abstractmethod
    def leftovers(self, task_ids: Collection[str]) -> Mapping[str, int]:
        """The bytes that nodes still keep of these tasks, by task id; without those of which nothing is kept."""

    @abstractmethod
    def forget(self, task_id: str) -> bool:
        """Delete what the nodes keep of a finished task. Returns whether there was anything.

        Its outputs and its log stay in the store. The id must never be submitted again: it would run again. Raises
        EngineError if the task has not ended.
        """

    @abstractmethod
    def tidy(self, ended_before: datetime, unfinished_runs: Collection[str]) -> tuple[str, ...]:
        """Forget tasks that ended before then, except those of `unfinished_runs`. Returns their ids."""

    @abstractmethod
    def cache_bytes(self) -> int:
        """The bytes of inputs that the nodes keep for later stages."""

    @abstractmethod
    def image_digest(self, task: StageTask) -> str | None:
        """The digest of the image in which the task would run now; None if it would run as a process.

        Empty if the image must be pulled first or cannot be looked at now. Raises StageFailed if the task cannot run.
        """

    @abstractmethod
    def images(self, names: Collection[str]) -> tuple[NodeImage, ...]:
        """These images as the nodes have them. Raises ServiceUnavailable if no container runtime is available."""

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """All nodes."""

    @abstractmethod
    def node_usage(self) -> tuple[NodeUsage, ...]:
        """CPU, memory and disk usage of all nodes. Takes 0.1 s, over which CPU usage is measured."""

    def usage_history(self, span: Span, points: int = 720) -> tuple[UsageHistory, ...]:
        """What was in use on all nodes over a span up to now; nothing where an engine cannot tell."""
        del span, points
        return ()

    def attempt_usage(self, task_id: str) -> UsageCurve | None:
        """What a task uses, while its node has its directory; None where an engine cannot tell."""
        del task_id
        return None

    def gpu_usage(self, node: str, gpus: Collection[str], since: datetime, until: datetime) -> UsageHistory | None:
        """What was in use of these GPUs of a node between two moments; None where an engine cannot tell."""
        del node, gpus, since, until
        return None

    def gpus(self) -> tuple[NodeGpu, ...]:
        """The GPUs of all nodes."""
        return tuple(gpu for node in self.nodes() for gpu in node.gpus)

    def usable_gpus(self) -> tuple[NodeGpu, ...]:
        """The GPUs of the nodes that take new stages. Cheap enough to be called once a second."""
        return tuple(gpu for node in self.nodes() if node.drain is None for gpu in node.gpus)

    def takes_stages(self) -> bool:
        """Whether any node takes new stages: not all are drained. Cheap enough to be called once a second."""
        return any(node.drain is None for node in self.nodes())

    @abstractmethod
    def drain(self, node: str, *, by: str, reason: str = "") -> None:
        """Let the node take no new stage; what runs there goes on. Raises NotFound for a node that there is not."""

    @abstractmethod
    def undrain(self, node: str) -> bool:
        """Let the node take stages again. Returns False if it was not drained. Raises NotFound."""

    def agent_desk(self) -> AgentDesk:
        """Where the agents on other machines report. Raises NotFound where an engine has none."""
        raise NotFound("stages run on this machine, so there are no agents on others")

    def set_priorities(self, priorities: Mapping[str, int]) -> None:
        """Reorder tasks that wait for GPUs: the ones with a higher number go first. Tasks that run stay as they are.

        A task without a number has its `priority` times `PRIORITY_STEP`. Does nothing where an engine has no order.
        """
        del priorities

    @abstractmethod
    def explain(self, task_id: str) -> str:
        """Why the task is not running, in one sentence; empty if it is running or has ended."""


def poll_interval_s(state: TaskState, waited_s: float) -> float:
    """How long to wait before the task's state is read again."""
    age_s = waited_s
    if state.status is not None and state.status.started_at is not None:
        age_s = (datetime.now(UTC) - state.status.started_at) / timedelta(seconds=1)
    return min(max(age_s * POLL_SHARE, MIN_POLL_S), MAX_POLL_S)


def explanation(state: TaskState) -> str:
    """Why a task in this state is not running, or what its runner waits for; empty if it simply runs, or has ended."""
    if not state.known:
        return "It is about to be started."
    if state.result is not None:
        return ""
    if state.cannot_tell:
        return state.cannot_tell
    if not state.runner_alive and state.runner_started:
        return "The stage's supervisor process exited; a replacement is starting."
    if state.status is None:
        return "The stage runner is starting."
    return state.status.reason


def unknown_node(name: str, nodes: Collection[Node]) -> NotFound:
    """The error for a node that there is not."""
    return NotFound(f"there is no node {name!r}", expected=f"one of {', '.join(each.name for each in nodes)}")


def missing_tags(task: StageTask, nodes: Collection[Node]) -> str:
    """Why no node may run the task, in one sentence; empty if one may."""
    wanted = set(task.node_tags)
    if any(wanted.issubset(node.tags) for node in nodes):
        return ""
    existing = "; ".join(f"{node.name}: {', '.join(node.tags) or 'no tags'}" for node in nodes)
    tags = f"the tag {task.node_tags[0]}" if len(wanted) == 1 else f"all of the tags {', '.join(task.node_tags)}"
    return (
        f"stage {task.stage} needs a node with {tags}, and there is none ({existing}); "
        "set WINSLOW_NODE_TAGS on a suitable node, or change `node_tags` of the stage"
    )
