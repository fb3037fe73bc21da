"""The engine of one machine: every stage runner is a detached process on it, and all state is in files.

The processes that submit, watch and cancel share nothing but the task's directory, so any of them may be killed at any
moment. A lock per task (`start.lock`) makes sure that any number of simultaneous submits start exactly one runner.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import override

from winslow_dagster.defaults import PACKAGE_DIR
from winslow_dagster.engines import hardware, local_node, usage_history
from winslow_dagster.engines.engine import (
    Engine,
    Node,
    NodeGpu,
    NodeImage,
    NodeUsage,
    Orphan,
    Span,
    TaskState,
    UnfinishedTask,
    UsageHistory,
    explanation,
    missing_tags,
    unknown_node,
)
from winslow_dagster.engines.runner_records import RunnerRecord, lost_result
from winslow_dagster.engines.spawn import spawn_detached
from winslow_dagster.errors import EngineError, NotFound, ServiceUnavailable
from winslow_dagster.locks import free_within
from winslow_dagster.settings import NodeSettings, Settings
from winslow_dagster.stages.gpu_allocator import read_node_gpus, write_node_gpus
from winslow_dagster.stages.log import LogReader
from winslow_dagster.stages.node_drain import Drain, read_drain, remove_drain, write_drain
from winslow_dagster.stages.runner.records import AttemptRecords
from winslow_dagster.stages.task.directory import AlreadyServed, TaskDirectory
from winslow_dagster.stages.task.growing_output import GrowingFile, growing_files, open_growing
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask, UsageCurve
from winslow_dagster.storage.directories import bytes_below, remove_directory
from winslow_dagster.storage.secrets import SecretStore

RUNNER = "winslow_dagster.stages.runner.service"
LOCK_RELEASE_TIMEOUT_S = 5.0
"""A killed runner counts as dead a moment before its lock is free: a thread, or a child before its exec, has it."""
LIVENESS_POLL_S = 0.25
MAX_CACHED_TASKS = 1000
FORGOTTEN = ".forgotten-"
NOT_FOR_RUNNERS = ("WINSLOW_DATABASE_URL", "DAGSTER_", "PG")
"""Prefixes of variables of the control plane."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CachedState:
    """What was last read of one task. Threads may overwrite each other's: each value is right in itself."""

    result: StageResult | None = None
    status: StageStatus | None = None
    status_stamp: tuple[int, int] | None = None
    alive: bool = False
    checked_at_s: float = -LIVENESS_POLL_S


class LocalEngine(Engine):
    """Runs the tasks in `settings.node.tasks_dir`. `runner` is the module that runners execute."""

    def __init__(self, settings: Settings, *, runner: str = RUNNER) -> None:
        self._settings = settings
        self._node = settings.node
        self._runner = runner
        self._cached: dict[str, CachedState] = {}

    @override
    def submit(self, task: StageTask) -> None:
        directory = self._directory(task.task_id)
        first = directory.write_task(task)
        if _attempt(first) != _attempt(task):
            raise EngineError(
                f"another task has this id: {'/'.join(map(str, _attempt(first)))}",
                where=task.task_id,
                expected="/".join(map(str, _attempt(task))),
            )
        if first != task:
            changed = sorted(name for name in StageTask.model_fields if getattr(first, name) != getattr(task, name))
            logger.warning("%s continues as first submitted, without the new %s", task.task_id, ", ".join(changed))
        self._ensure_runner(directory)

    @override
    def status(self, task_id: str) -> TaskState:
        cached = self._cached.get(task_id) or self._add_to_cache(task_id)
        if cached.result is not None:
            return TaskState(known=True, status=cached.status, result=cached.result)
        directory = self._directory(task_id)
        now_s = time.monotonic()
        if now_s - cached.checked_at_s >= LIVENESS_POLL_S:
            # Before the result: a runner that exits after its work has written one.
            cached.alive = RunnerRecord.alive_in(directory)
            cached.checked_at_s = now_s
        self._read_status(directory, cached)
        if _has_result(directory):
            cached.result = directory.result()
            return TaskState(known=True, status=cached.status, result=cached.result)
        if cached.alive or cached.status is not None:
            return TaskState(known=True, runner_alive=cached.alive, status=cached.status)
        started = RunnerRecord.read(directory) is not None
        return TaskState(known=(directory.path / "task.json").exists(), runner_started=started)

    @override
    def log(self, task_id: str) -> LogReader:
        return LogReader(self._directory(task_id).log)

    @override
    def growing_files(self, task_id: str) -> tuple[GrowingFile, ...]:
        return growing_files(self._directory(task_id).output)

    @override
    def read_growing(self, task_id: str, path: str, most_bytes: int) -> bytes:
        with open(open_growing(self._directory(task_id).output, path), "rb") as file:  # noqa: PTH123  # of a descriptor
            return file.read(most_bytes)

    @override
    def unfinished(self) -> tuple[UnfinishedTask, ...]:
        return tuple(
            UnfinishedTask(
                task_id=task.task_id, run_id=task.run_id, cancel_requested=directory.cancel_reason() is not None
            )
            for directory in self._directories()
            if not _has_result(directory) and (task := directory.task()) is not None
        )

    @override
    def cancel(self, task_id: str, reason: str) -> None:
        directory = self._directory(task_id)
        if not (directory.path / "task.json").exists():
            raise EngineError("the task was never submitted, so it cannot be cancelled", where=task_id)
        if directory.result() is None:
            directory.request_cancel(reason)
            self._ensure_runner(directory)

    @override
    def cancel_run(self, run_id: str, reason: str) -> None:
        failures = []
        for directory in self._directories():
            if not directory.task_id.startswith(f"{run_id}.") or not (directory.path / "task.json").exists():
                continue
            try:
                self.cancel(directory.task_id, reason)
            except EngineError as error:
                failures.append(str(error))
        if failures:
            raise EngineError("; ".join(failures), where=f"run {run_id}", remedy="Fix the cause and cancel again")

    @override
    def remove_orphans(self) -> tuple[Orphan, ...]:
        # Imported here: only the daemon's sensor removes orphans.
        from winslow_dagster.stages.orphans import kill_orphaned_processes, remove_orphaned_containers

        def over(task_id: str) -> bool:
            directory = self._directory(task_id)
            return not directory.path.exists() or _has_result(directory)

        containers = remove_orphaned_containers(self._node.tasks_dir, over)
        processes = kill_orphaned_processes(self._node.tasks_dir, over)
        return (
            *(Orphan(task_id=task_id, kind="container") for task_id in containers),
            *(Orphan(task_id=task_id, kind="process") for task_id in processes),
        )

    @override
    def leftovers(self, task_ids: Collection[str]) -> dict[str, int]:
        # What could not be deleted completely is still there.
        remaining = {trash.name.removeprefix(FORGOTTEN): trash for trash in self._trash()}
        remaining |= {directory.task_id: directory.path for directory in self._directories()}
        return {task_id: bytes_below(path) for task_id, path in remaining.items() if task_id in set(task_ids)}

    @override
    def forget(self, task_id: str) -> bool:
        directory = self._directory(task_id)
        trash = directory.path.with_name(f"{FORGOTTEN}{task_id}")
        if directory.path.exists():
            if directory.result() is None:
                raise EngineError("the task has not ended, so it cannot be forgotten", where=task_id)
            with _start_lock(directory):
                # In one step, so that half a directory is never taken for a task.
                directory.path.rename(trash)
            self._cached.pop(task_id, None)
        elif not trash.exists():
            return False
        _delete(trash)
        return True

    @override
    def tidy(self, ended_before: datetime, unfinished_runs: Collection[str]) -> tuple[str, ...]:
        forgotten, failures = [], []
        for directory in self._directories():
            result, task = directory.result(), directory.task()
            if result is None or task is None or task.run_id in unfinished_runs or result.ended_at >= ended_before:
                continue
            try:
                self.forget(directory.task_id)
            except EngineError as error:
                failures.append(error)
            else:
                forgotten.append(directory.task_id)
        failed = {error.where for error in failures}
        for trash in self._trash():
            if str(trash) not in failed:
                try:
                    _delete(trash)
                except EngineError as error:
                    failures.append(error)
        if failures:
            raise failures[0]  # Only now: what cannot be deleted must not keep the rest.
        return tuple(forgotten)

    @override
    def cache_bytes(self) -> int:
        return bytes_below(self._node.cache_dir / "blobs")

    @override
    def image_digest(self, task: StageTask) -> str | None:
        from winslow_dagster.stages.runner.runtime_selection import image_digest

        return image_digest(task)

    @override
    def images(self, names: Collection[str]) -> tuple[NodeImage, ...]:
        return local_node.images(names)

    @override
    def nodes(self) -> tuple[Node, ...]:
        return (local_node.this_node(self._node),)

    @override
    def node_usage(self) -> tuple[NodeUsage, ...]:
        return (local_node.usage(self._node),)

    @override
    def usage_history(self, span: Span, points: int = 720) -> tuple[UsageHistory, ...]:
        return (usage_history.history(self._node, hardware.node_name(), self.gpus(), span, points),)

    @override
    def attempt_usage(self, task_id: str) -> UsageCurve | None:
        return self._directory(task_id).usage()

    @override
    def gpu_usage(self, gpus: Collection[str], since: datetime, until: datetime) -> UsageHistory | None:
        return usage_history.of_gpus(self._node, hardware.node_name(), gpus, since, until)

    @override
    def gpus(self) -> tuple[NodeGpu, ...]:
        return local_node.gpus_here().gpus

    @override
    def takes_stages(self) -> bool:
        return read_drain(self._node.node_dir) is None

    @override
    def drain(self, node: str, *, by: str, reason: str = "") -> None:
        self._require_here(node)
        write_drain(self._node.node_dir, Drain(by=by, at=datetime.now(UTC), reason=reason))

    @override
    def undrain(self, node: str) -> bool:
        self._require_here(node)
        return remove_drain(self._node.node_dir)

    @override
    def explain(self, task_id: str) -> str:
        return explanation(self.status(task_id))

    def _require_here(self, node: str) -> None:
        if node != hardware.node_name():
            raise unknown_node(node, self.nodes())

    def _directory(self, task_id: str) -> TaskDirectory:
        return TaskDirectory.of(self._node.tasks_dir, task_id)

    def _directories(self) -> Iterator[TaskDirectory]:
        if self._node.tasks_dir.exists():
            for path in sorted(self._node.tasks_dir.iterdir()):
                if not path.name.startswith("."):
                    yield TaskDirectory(path)

    def _trash(self) -> list[Path]:
        """Directories of forgotten tasks that have not been deleted completely."""
        return sorted(self._node.tasks_dir.glob(f"{FORGOTTEN}*"))

    def _add_to_cache(self, task_id: str) -> CachedState:
        while len(self._cached) >= MAX_CACHED_TASKS:
            self._cached.pop(next(iter(self._cached)), None)
        return self._cached.setdefault(task_id, CachedState())

    def _read_status(self, directory: TaskDirectory, cached: CachedState) -> None:
        try:
            stat = os.stat(directory.path / "status.json")  # noqa: PTH116  # many times a second
        except FileNotFoundError:
            return
        # A new file each time; the inode alone could be that of the one before the last.
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != cached.status_stamp:
            cached.status = directory.status()
            cached.status_stamp = stamp

    def _ensure_runner(self, directory: TaskDirectory) -> None:
        with _start_lock(directory):
            last = RunnerRecord.read(directory)
            if _has_result(directory) or (last is not None and last.alive()):
                return
            if not free_within(directory.path / "runner.lock", LOCK_RELEASE_TIMEOUT_S):
                return  # a runner that this engine did not start
            if last is None and self._refuse(directory):
                return
            failed_starts = last.failed_starts_after(directory.status()) if last else 0
            if last is not None and last.too_many(failed_starts):
                self._give_up(directory, last)
                return
            self._publish_gpus(directory)
            process = spawn_detached(
                self._runner,
                [str(directory.path), self._node.model_dump_json()],
                env=runner_environment(self._settings),
                cwd=PACKAGE_DIR.parent,
                log_path=directory.path / "runner.log",
                fork_server_socket=self._settings.sockets_dir / "runners.sock",
            )
            RunnerRecord.write(directory, process, failed_starts)
        self._cached.pop(directory.task_id, None)

    def _refuse(self, directory: TaskDirectory) -> bool:
        """Write a `failed` result if a tag or a secret that the task needs is missing. Returns whether it did."""
        task = directory.task()
        if task is None:
            return False
        reason = missing_tags(task, self.nodes()) if task.node_tags else ""
        if not (reason := reason or self._deliver_secrets(task, directory)):
            return False
        now = datetime.now(UTC)
        with directory.hold():
            directory.write_outcome(
                StageResult(
                    task_id=task.task_id, outcome="failed", message=reason, started_at=now, ended_at=now, node=""
                )
            )
            directory.finalize()
        return True

    def _deliver_secrets(self, task: StageTask, directory: TaskDirectory) -> str:
        """Give the task the values of its secrets. Returns why that is impossible, or an empty text."""
        if not task.secrets:
            return ""
        store = SecretStore(self._settings.secrets_dir)
        try:
            directory.write_secrets({name: store.value(found.secret) for name, found in task.secrets.items()})
        except NotFound as error:
            return str(error)
        return ""

    def _publish_gpus(self, directory: TaskDirectory) -> None:
        """Tell the runners which GPUs they share."""
        task, gpus_dir, gpus = directory.task(), self._node.gpus_dir, local_node.gpus_here().gpus
        if task is not None and task.gpu is not None and read_node_gpus(gpus_dir) != gpus:
            write_node_gpus(gpus_dir, gpus)

    def _give_up(self, directory: TaskDirectory, last: RunnerRecord) -> None:
        """Write the result in place of a runner, holding the runners' lock, once nothing of the attempt is running."""
        try:
            with directory.hold():
                remove_remains(directory, self._node)
                if directory.outcome() is None:
                    directory.write_outcome(lost_result(directory, last))
                directory.remove_secrets()
                if directory.work.exists():
                    remove_directory(directory.work)  # what the stage printed, perhaps its secrets, is not masked there
                directory.finalize()
        except AlreadyServed:
            logger.debug("%s is served after all", directory.task_id)


def runner_environment(settings: Settings) -> dict[str, str]:
    """The environment of a stage runner: without what only the control plane needs, such as the database's password."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_RUNNERS)}
    return {**kept, "WINSLOW_HOME": str(settings.home)}


def remove_remains(directory: TaskDirectory, node: NodeSettings) -> None:
    """Leave nothing of the attempt running. Raises EngineError if that is not certain."""
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon
    from winslow_dagster.stages.runner.attempt import AttemptRunner

    task, start = directory.task(), AttemptRecords(directory.work).start()
    if task is None or start is None:
        return
    if start.mode == "docker":
        try:
            DockerDaemon.connect()
        except ServiceUnavailable as error:
            raise EngineError(
                f"its runners died, and its container may still be running: {error.what}",
                where=directory.task_id,
                remedy=error.remedy,
            ) from error
    AttemptRunner(task, directory, node).clear()


def _attempt(task: StageTask) -> tuple[str, str, str, str, int]:
    return task.project, task.pipeline, task.run_id, task.stage, task.attempt


def _has_result(directory: TaskDirectory) -> bool:
    return (directory.path / "result.json").exists()


@contextlib.contextmanager
def _start_lock(directory: TaskDirectory) -> Iterator[None]:
    lock = os.open(directory.path / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _delete(path: Path) -> None:
    try:
        remove_directory(path)
    except OSError as error:
        raise EngineError(
            f"cannot be deleted: {error.strerror} ({error.filename})",
            where=str(path),
            remedy="Change its owner or its permissions, or delete it; the rest is deleted at the next attempt",
        ) from error
