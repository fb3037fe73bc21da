"""Allocates this node's GPUs to attempts: one lock file per GPU, and a queue by priority and in order of arrival.

A runner holds the lock for its whole life. A stage may outlive its runner and keep its GPUs: the lock file names the
attempt, and counts as held while that attempt has no result and its container or process is running. The files are in
`<home>/gpus/`: `<uuid>.lock` (the holder), `queue/<task id>` (a waiting attempt), `node.json` (the node's GPUs),
`order.json` (the numbers by which waiting attempts were reordered).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from winslow_dagster.errors import StageFailed
from winslow_dagster.formatting import format_duration, format_size
from winslow_dagster.locks import lock_now
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.stages.task.directory import TaskDirectory, write_atomically
from winslow_dagster.stages.task.model import PRIORITY_STEP, NodeGpu, StageTask
from winslow_dagster.storage.disk import locked

LOOK_AGAIN_S = 0.25
NODE_GPUS = TypeAdapter(tuple[NodeGpu, ...])
ORDER = TypeAdapter(dict[str, int])
IsAlive = Callable[[TaskDirectory], bool]
"""Whether an attempt's container or process is running although its runner is not."""


class Holder(Frozen):
    """The attempt that holds a GPU."""

    directory: Path
    project: str
    stage: str
    since: datetime

    def __str__(self) -> str:
        held_s = (datetime.now(UTC) - self.since).total_seconds()
        return f"{self.project}/{self.stage} ({format_duration(held_s)})"


class Ticket(Frozen):
    """A place in the queue."""

    directory: Path
    project: str
    stage: str
    since_ns: int
    wanted: tuple[str, ...]
    count: int = 1
    priority: int = 0

    def place(self, order: Mapping[str, int]) -> tuple[int, int]:
        """What the queue is sorted by."""
        return -order.get(self.directory.name, self.priority * PRIORITY_STEP), self.since_ns

    def can_be_met(self, known: frozenset[str]) -> bool:
        """Whether the node still has as many of the wanted GPUs as the stage needs, in use or free."""
        return len(known.intersection(self.wanted)) >= self.count


@dataclass(slots=True)
class Lease:
    """GPUs allotted to this attempt until `release`, or until both this process and the stage have ended."""

    gpus: tuple[NodeGpu, ...]
    locks: list[int]

    def release(self) -> None:
        """Free the GPUs. Call only when the stage no longer uses them."""
        while self.locks:
            lock = self.locks.pop()
            os.ftruncate(lock, 0)
            os.close(lock)


def write_node_gpus(gpus_dir: Path, gpus: Sequence[NodeGpu]) -> None:
    """Write the node's GPUs for the runners on it."""
    gpus_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(gpus_dir / "node.json", NODE_GPUS.dump_json(tuple(gpus)).decode())


def has_node_gpus(gpus_dir: Path) -> bool:
    """Whether they were ever written: a stage has asked for one."""
    return (gpus_dir / "node.json").exists()


def read_node_gpus(gpus_dir: Path) -> tuple[NodeGpu, ...]:
    """The node's GPUs as last written; none if never written."""
    try:
        return NODE_GPUS.validate_json((gpus_dir / "node.json").read_bytes())
    except FileNotFoundError:
        return ()


def write_order(gpus_dir: Path, numbers: Mapping[str, int]) -> None:
    """Write the order of waiting attempts, by task id, in place of the former: the highest number is first."""
    gpus_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(gpus_dir / "order.json", ORDER.dump_json(dict(numbers)).decode())


def read_order(gpus_dir: Path) -> dict[str, int]:
    """The order as last written; nothing if never written."""
    try:
        return ORDER.validate_json((gpus_dir / "order.json").read_bytes())
    except FileNotFoundError:
        return {}


def suitable_gpus(gpu: Gpu, available: Sequence[NodeGpu], where: str) -> tuple[NodeGpu, ...]:
    """The node's GPUs that meet the request; none if there are too few and the GPU is optional.

    Raises StageFailed if the node has too few and the GPU is required.
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
    memory = f" with {format_size(least_bytes)} each" if least_bytes else ""
    existing = ", ".join(f"{one.name} ({one.vendor}, {format_size(one.memory_bytes)})" for one in available) or "none"
    raise StageFailed(
        f"the stage needs {gpu.count} {kind}{memory}, but this machine has {len(found)}; its GPUs: {existing}",
        where=where,
        remedy="Run it on another node, request less, or make the GPU `optional`",
    )


class GpuAllocator:
    """The node's GPUs, shared by all runners through lock files."""

    def __init__(self, gpus_dir: Path, is_alive: IsAlive) -> None:
        self._dir = gpus_dir
        self._is_alive = is_alive
        (gpus_dir / "queue").mkdir(parents=True, exist_ok=True)

    def lease(
        self,
        task: StageTask,
        directory: TaskDirectory,
        candidates: Sequence[NodeGpu],
        count: int,
        announce: Callable[[str], None],
    ) -> Lease:
        """Wait in the queue for `count` of `candidates`. `announce` gets the reason, and may raise to stop waiting.

        Candidates that are lost meanwhile are left out, until they are back.
        """
        with self._queue_place(task, directory, candidates, count) as ticket:
            while True:
                with self._mutex():
                    known = self._known()
                    present = [gpu for gpu in candidates if known is None or gpu.uuid in known]
                    short = len(present) < count
                    ahead = [] if short else self._tickets_ahead(ticket, known)
                    lease, holders = self._try_lease(task, directory, present, 0 if ahead or short else count)
                if lease is not None:
                    return lease
                announce(waiting_reason(count, len(candidates), len(candidates) - len(present), holders, ahead))
                time.sleep(LOOK_AGAIN_S)  # The kernel offers no way to wait for any one of several file locks.

    def _known(self) -> frozenset[str] | None:
        """The GPUs that the node has now; None if nobody has said. It is said anew when one is lost, or is back."""
        if not has_node_gpus(self._dir):
            return None
        return frozenset(gpu.uuid for gpu in read_node_gpus(self._dir))

    def retake(self, task: StageTask, directory: TaskDirectory, gpus: Sequence[NodeGpu]) -> Lease:
        """Lease the GPUs that an earlier runner of the attempt held; none if another attempt holds one by now."""
        with self._mutex():
            lease, _ = self._try_lease(task, directory, gpus, len(gpus))
        return lease or Lease((), [])

    def _try_lease(
        self, task: StageTask, directory: TaskDirectory, candidates: Sequence[NodeGpu], count: int
    ) -> tuple[Lease | None, list[Holder]]:
        """A lease of `count` GPUs if they are free, and the holders of the others. With a count of 0 only looks."""
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
        """The other attempt that holds the GPU. If there is none, takes the lock and returns None."""
        free = lock_now(lock, fcntl.LOCK_EX)
        text = os.pread(lock, 65536, 0)
        try:
            holder = Holder.model_validate_json(text)
        except ValidationError:  # Empty, or half written by a runner that died before it held the GPU.
            return None if free else Holder(directory=Path(), project="?", stage="?", since=datetime.now(UTC))
        if not free:
            return holder
        if holder.directory == directory.path:
            return None
        other = TaskDirectory(holder.directory)
        return holder if other.path.exists() and other.result() is None and self._is_alive(other) else None

    @contextlib.contextmanager
    def _queue_place(
        self, task: StageTask, directory: TaskDirectory, candidates: Sequence[NodeGpu], count: int
    ) -> Iterator[Ticket]:
        """Hold a place in the queue: that of an earlier runner of the attempt, or a new one behind its equals."""
        path = self._dir / "queue" / task.task_id
        place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with self._mutex():
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
                        count=count,
                        priority=task.priority,
                    )
                    os.ftruncate(place, 0)
                    os.pwrite(place, ticket.model_dump_json().encode(), 0)
            yield ticket
        finally:
            # A killed runner leaves the file behind, so that its successor gets the same place.
            path.unlink()
            os.close(place)

    def _tickets_ahead(self, ticket: Ticket, known: frozenset[str] | None) -> list[Ticket]:
        """The tickets before this one for some of the same GPUs whose runners are still waiting.

        One that waits for a GPU that is lost does not keep the others from those that are there.
        """
        found, order = [], read_order(self._dir)
        own_place = ticket.place(order)
        for path in (self._dir / "queue").iterdir():
            with contextlib.suppress(FileNotFoundError, ValidationError):
                other = Ticket.model_validate_json(path.read_bytes())
                before = other.place(order) < own_place and not set(other.wanted).isdisjoint(ticket.wanted)
                if before and (known is None or other.can_be_met(known)) and self._is_waiting(path, other):
                    found.append(other)
        return sorted(found, key=lambda other: other.place(order))

    def _is_waiting(self, path: Path, ticket: Ticket) -> bool:
        """Whether a runner is waiting with the ticket. Removes tickets of attempts that have ended."""
        place = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not lock_now(place, fcntl.LOCK_EX):
                return True
            if not ticket.directory.exists() or TaskDirectory(ticket.directory).result() is not None:
                path.unlink()
            return False
        finally:
            os.close(place)

    def _mutex(self) -> AbstractContextManager[None]:
        """One runner at a time examines and takes locks."""
        return locked(self._dir / "allocator.lock")


def waiting_reason(count: int, among: int, lost: int, holders: Sequence[Holder], ahead: Sequence[Ticket]) -> str:
    """The message for a waiting attempt: which GPUs are lost, who holds the others, and who is ahead in the queue."""
    wanted = "a GPU" if count == 1 else f"{count} GPUs"
    parts = []
    if lost:
        parts.append(f"{lost} of {among} not found on this machine any more")
    if holders:
        names = dict.fromkeys(str(holder) for holder in holders)
        parts.append(f"{len(holders)} of {among} in use by {', '.join(names)}")
    if ahead:
        parts.append("queued behind " + ", ".join(f"{ticket.project}/{ticket.stage}" for ticket in ahead))
    return f"waiting for {wanted}: {'; '.join(parts) or 'another runner is allocating GPUs'}"
