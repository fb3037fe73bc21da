"""Who has which GPU of this node: one lock file a GPU, and a queue in which nobody overtakes.

A lock is held by the runner for its whole life. A stage may outlive its runner and keep its GPUs: the lock file then
names the attempt, and counts as held while that attempt has no result and its container or process lives. Files lie in
`<home>/gpus/`: `<uuid>.lock` (its holder), `queue/<task id>` (a waiter), `node.json` (what the node has).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from winslow_dagster.errors import StageFailed
from winslow_dagster.locks import lock_now
from winslow_dagster.pipelines.model.pipeline import Gpu
from winslow_dagster.stages.formatting import duration_in_words, size_in_words
from winslow_dagster.stages.task.directory import TaskDirectory, write_atomically
from winslow_dagster.stages.task.model import Frozen, NodeGpu, StageTask

LOOK_AGAIN_S = 0.25
NODE_GPUS = TypeAdapter(tuple[NodeGpu, ...])
Lives = Callable[[TaskDirectory], bool]
"""Whether an attempt's container or process lives, when its runner does not."""


class Holder(Frozen):
    """The attempt that has a GPU."""

    directory: Path
    project: str
    stage: str
    since: datetime

    def __str__(self) -> str:
        held_s = (datetime.now(UTC) - self.since).total_seconds()
        return f"{self.project}/{self.stage} ({duration_in_words(held_s)})"


class Ticket(Frozen):
    """A place in the queue."""

    directory: Path
    project: str
    stage: str
    since_ns: int
    wanted: tuple[str, ...]


@dataclass(slots=True)
class Lease:
    """GPUs that are this attempt's until `release`, or until the process and the stage have both ended."""

    gpus: tuple[NodeGpu, ...]
    locks: list[int]

    def release(self) -> None:
        """Give them to the next. Only once nothing of the stage uses them any more."""
        while self.locks:
            lock = self.locks.pop()
            os.ftruncate(lock, 0)
            os.close(lock)


def write_node_gpus(gpus_dir: Path, gpus: Sequence[NodeGpu]) -> None:
    """Say what the node has, for the runners on it."""
    gpus_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(gpus_dir / "node.json", NODE_GPUS.dump_json(tuple(gpus)).decode())


def read_node_gpus(gpus_dir: Path) -> tuple[NodeGpu, ...]:
    """What the node has, as it was last said; nothing where nobody did."""
    try:
        return NODE_GPUS.validate_json((gpus_dir / "node.json").read_bytes())
    except FileNotFoundError:
        return ()


def suitable(gpu: Gpu, available: Sequence[NodeGpu], where: str) -> tuple[NodeGpu, ...]:
    """Which of the node's GPUs will do; none where the stage can do without and there are too few.

    Raises StageFailed where the node will never have enough.
    """
    least_bytes = gpu.memory_bytes or 0
    found = tuple(
        one for one in available if one.memory_bytes >= least_bytes and (gpu.vendor is None or one.vendor == gpu.vendor)
    )
    if len(found) >= gpu.count:
        return found
    if gpu.optional:
        return ()
    kind = " ".join(filter(None, (gpu.vendor, "GPU" if gpu.count == 1 else "GPUs")))
    memory = f" with {size_in_words(least_bytes)} each" if least_bytes else ""
    there = ", ".join(f"{one.name} ({one.vendor}, {size_in_words(one.memory_bytes)})" for one in available) or "none"
    raise StageFailed(
        f"it needs {gpu.count} {kind}{memory}, and this machine has {len(found)}; its GPUs: {there}",
        where=where,
        remedy="Run it on another node, ask for less, or make the GPU `optional`",
    )


class GpuAllocator:
    """The node's GPUs, shared by all runners through files."""

    def __init__(self, gpus_dir: Path, lives: Lives) -> None:
        self._dir = gpus_dir
        self._lives = lives
        (gpus_dir / "queue").mkdir(parents=True, exist_ok=True)

    def lease(
        self,
        task: StageTask,
        directory: TaskDirectory,
        candidates: Sequence[NodeGpu],
        count: int,
        announce: Callable[[str], None],
    ) -> Lease:
        """Wait in the queue for `count` of `candidates`. `announce` is told why it waits, and may raise to end that."""
        with self._queued(task, directory, candidates) as ticket:
            while True:
                with self._deciding():
                    ahead = self._ahead(ticket)
                    lease, holders = self._take(task, directory, candidates, 0 if ahead else count)
                if lease is not None:
                    return lease
                announce(waiting_reason(count, len(candidates), holders, ahead))
                time.sleep(LOOK_AGAIN_S)  # A lock that another process drops cannot be waited for among several.

    def retake(self, task: StageTask, directory: TaskDirectory, gpus: Sequence[NodeGpu]) -> Lease:
        """What an earlier runner of the attempt had. A GPU is left out only where the stage has lost it already."""
        with self._deciding():
            lease, _ = self._take(task, directory, gpus, len(gpus))
        return lease or Lease((), [])

    def _take(
        self, task: StageTask, directory: TaskDirectory, candidates: Sequence[NodeGpu], count: int
    ) -> tuple[Lease | None, list[Holder]]:
        """`count` GPUs if they are free, and who holds the others. With a count of 0 only looks."""
        lease = Lease((), [])
        holders: list[Holder] = []
        for gpu in candidates:
            lock = os.open(self._dir / f"{gpu.uuid}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            holder = self._holder(lock, directory)
            if holder is None and len(lease.gpus) < count:
                lease.gpus += (gpu,)
                lease.locks.append(lock)
                continue
            os.close(lock)
            if holder is not None:
                holders.append(holder)
        if not count or len(lease.gpus) < count:
            for lock in lease.locks:
                os.close(lock)
            return None, holders
        own = Holder(directory=directory.path, project=task.project, stage=task.stage, since=datetime.now(UTC))
        for lock in lease.locks:
            os.ftruncate(lock, 0)
            os.pwrite(lock, own.model_dump_json().encode(), 0)
        return lease, holders

    def _holder(self, lock: int, directory: TaskDirectory) -> Holder | None:
        """Who has the GPU; None where nobody does but the attempt itself, and the lock is taken then."""
        free = lock_now(lock, fcntl.LOCK_EX)
        text = os.pread(lock, 65536, 0)
        try:
            holder = Holder.model_validate_json(text)
        except ValidationError:  # Empty, or half written by a runner that died before it had the GPU.
            return None if free else Holder(directory=Path(), project="?", stage="?", since=datetime.now(UTC))
        if not free:
            return holder
        if holder.directory == directory.path:
            return None
        other = TaskDirectory(holder.directory)
        return holder if other.path.exists() and other.result() is None and self._lives(other) else None

    @contextlib.contextmanager
    def _queued(self, task: StageTask, directory: TaskDirectory, candidates: Sequence[NodeGpu]) -> Iterator[Ticket]:
        """A place in the queue, the same as before where an earlier runner of the attempt had one."""
        path = self._dir / "queue" / task.task_id
        place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with self._deciding():
                fcntl.flock(place, fcntl.LOCK_EX)
                try:
                    ticket = Ticket.model_validate_json(os.pread(place, 65536, 0))
                except ValidationError:
                    ticket = Ticket(
                        directory=directory.path,
                        project=task.project,
                        stage=task.stage,
                        since_ns=time.time_ns(),
                        wanted=tuple(gpu.uuid for gpu in candidates),
                    )
                    os.ftruncate(place, 0)
                    os.pwrite(place, ticket.model_dump_json().encode(), 0)
            yield ticket
        finally:
            # A runner that is killed leaves it, and its successor has the same place again.
            path.unlink()
            os.close(place)

    def _ahead(self, ticket: Ticket) -> list[Ticket]:
        """Those who came before and want some of the same, and whose runners live."""
        found = []
        for path in (self._dir / "queue").iterdir():
            with contextlib.suppress(FileNotFoundError, ValidationError):
                other = Ticket.model_validate_json(path.read_bytes())
                earlier = other.since_ns < ticket.since_ns and not set(other.wanted).isdisjoint(ticket.wanted)
                if earlier and self._waits(path, other):
                    found.append(other)
        return sorted(found, key=lambda other: other.since_ns)

    def _waits(self, path: Path, ticket: Ticket) -> bool:
        """Whether a runner waits with the ticket. That of an attempt that ended without one is removed."""
        place = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not lock_now(place, fcntl.LOCK_EX):
                return True
            if not ticket.directory.exists() or TaskDirectory(ticket.directory).result() is not None:
                path.unlink()
            return False
        finally:
            os.close(place)

    @contextlib.contextmanager
    def _deciding(self) -> Iterator[None]:
        """One runner at a time looks and takes."""
        mutex = os.open(self._dir / "deciding.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            yield
        finally:
            os.close(mutex)


def waiting_reason(count: int, among: int, holders: Sequence[Holder], ahead: Sequence[Ticket]) -> str:
    """Why it waits, in words a person can act on."""
    what = "a GPU" if count == 1 else f"{count} GPUs"
    parts = []
    if holders:
        by = dict.fromkeys(str(holder) for holder in holders)
        parts.append(f"{len(holders)} of {among} taken by {', '.join(by)}")
    if ahead:
        parts.append("after " + ", ".join(f"{ticket.project}/{ticket.stage}" for ticket in ahead))
    return f"waits for {what}: {'; '.join(parts) or 'another runner is looking'}"
