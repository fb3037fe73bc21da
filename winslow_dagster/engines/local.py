"""The engine of one machine: every stage runner is a detached process here, and files say the rest.

Nothing but the task's directory is shared between the processes that submit, watch and cancel, so any of them may be
killed at any moment. Which runner serves a task is decided under one lock a task (`start.lock`), so that any number of
submits at once start exactly one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from typing_extensions import override

import winslow_dagster
from winslow_dagster.engines import hardware
from winslow_dagster.engines.engine import Engine, Node, NodeGpu, TaskState, explanation
from winslow_dagster.engines.runner_records import RunnerRecord, lost_result
from winslow_dagster.engines.spawn import spawn_detached
from winslow_dagster.errors import EngineError, ServiceUnavailable
from winslow_dagster.locks import free_within
from winslow_dagster.settings import Settings
from winslow_dagster.stages.gpu_allocator import read_node_gpus, write_node_gpus
from winslow_dagster.stages.runner.records import AttemptRecords
from winslow_dagster.stages.task.directory import AlreadyServed, TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask

RUNNER = "winslow_dagster.stages.runner.service"
DYING_S = 5.0
"""A killed runner counts as dead a moment before its lock is free: a last thread has it, or a child before its exec."""
LIFE_LOOK_S = 0.25
"""Between two looks at whether a runner lives."""
MOST_WATCHED = 1000
FORGOTTEN = ".forgotten-"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Watched:
    """What was last read of one task. Threads may overwrite each other's: each value is right in itself."""

    result: StageResult | None = None
    status: StageStatus | None = None
    status_stamp: tuple[int, int] | None = None
    alive: bool = False
    looked_at_s: float = -LIFE_LOOK_S


class LocalEngine(Engine):
    """Runners of the tasks in `settings.tasks_dir`. `runner` is the module they run."""

    def __init__(self, settings: Settings, *, runner: str = RUNNER) -> None:
        self._settings = settings
        self._runner = runner
        self._watched: dict[str, Watched] = {}

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
            logger.warning("%s goes on as it was first submitted, without new %s", task.task_id, ", ".join(changed))
        self._make_sure_it_is_served(directory)

    @override
    def status(self, task_id: str) -> TaskState:
        watched = self._watched.get(task_id) or self._watch(task_id)
        if watched.result is not None:
            return TaskState(known=True, status=watched.status, result=watched.result)
        directory = self._directory(task_id)
        now_s = time.monotonic()
        if now_s - watched.looked_at_s >= LIFE_LOOK_S:
            # Before the result, which is there once the runner has left after its work.
            watched.alive = RunnerRecord.alive_in(directory)
            watched.looked_at_s = now_s
        self._read_status(directory, watched)
        if (directory.path / "result.json").exists():
            watched.result = directory.result()
            return TaskState(known=True, status=watched.status, result=watched.result)
        if watched.alive or watched.status is not None:
            return TaskState(known=True, runner_alive=watched.alive, status=watched.status)
        return TaskState(known=(directory.path / "task.json").exists())

    @override
    def cancel(self, task_id: str, reason: str) -> None:
        directory = self._directory(task_id)
        if not (directory.path / "task.json").exists():
            raise EngineError("the task was never submitted, so it cannot be cancelled", where=task_id)
        if directory.result() is None:
            directory.request_cancel(reason)
            self._make_sure_it_is_served(directory)

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
            raise EngineError("; ".join(failures), where=f"run {run_id}", remedy="Cancel it again once that is mended")

    @override
    def forget(self, task_id: str) -> None:
        directory = self._directory(task_id)
        if not directory.path.exists():
            return
        if directory.result() is None:
            raise EngineError("the task has not ended, so it cannot be forgotten", where=task_id)
        with _start_lock(directory):
            # In one step, so that half a directory is never taken for a task.
            gone = directory.path.rename(directory.path.with_name(f"{FORGOTTEN}{task_id}"))
        self._watched.pop(task_id, None)
        _delete(gone)

    @override
    def tidy(self, ended_before: datetime, unfinished_runs: Collection[str]) -> tuple[str, ...]:
        forgotten = []
        for directory in self._directories():
            result, task = directory.result(), directory.task()
            if result is None or task is None or task.run_id in unfinished_runs or result.ended_at >= ended_before:
                continue
            self.forget(directory.task_id)
            forgotten.append(directory.task_id)
        for rest in self._settings.tasks_dir.glob(f"{FORGOTTEN}*"):
            _delete(rest)
        return tuple(forgotten)

    @override
    def nodes(self) -> tuple[Node, ...]:
        return (this_node(),)

    @override
    def explain(self, task_id: str) -> str:
        return explanation(self.status(task_id))

    def _directory(self, task_id: str) -> TaskDirectory:
        return TaskDirectory.of(self._settings.tasks_dir, task_id)

    def _directories(self) -> Iterator[TaskDirectory]:
        if self._settings.tasks_dir.exists():
            for path in sorted(self._settings.tasks_dir.iterdir()):
                if not path.name.startswith("."):
                    yield TaskDirectory(path)

    def _watch(self, task_id: str) -> Watched:
        while len(self._watched) >= MOST_WATCHED:
            self._watched.pop(next(iter(self._watched)), None)
        return self._watched.setdefault(task_id, Watched())

    def _read_status(self, directory: TaskDirectory, watched: Watched) -> None:
        try:
            stat = os.stat(directory.path / "status.json")  # noqa: PTH116  # many times a second
        except FileNotFoundError:
            return
        # A new file each time; the inode alone could be that of the one before the last.
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != watched.status_stamp:
            watched.status = directory.status()
            watched.status_stamp = stamp

    def _make_sure_it_is_served(self, directory: TaskDirectory) -> None:
        with _start_lock(directory):
            last = RunnerRecord.read(directory)
            if (directory.path / "result.json").exists() or (last is not None and last.alive()):
                return
            if not free_within(directory.path / "runner.lock", DYING_S):
                return  # a runner that this engine did not start
            fruitless = last.fruitless_after(directory.status()) if last else 0
            if last is not None and last.too_many(fruitless):
                self._give_up(directory, last)
                return
            self._tell_gpus(directory)
            process = spawn_detached(
                self._runner,
                [str(directory.path)],
                env={**os.environ, "WINSLOW_HOME": str(self._settings.home)},
                cwd=Path(winslow_dagster.__file__).parents[1],
                log_path=directory.path / "runner.log",
                fork_server_socket=self._settings.sockets_dir / "runners.sock",
            )
            RunnerRecord.write(directory, process, fruitless)
        self._watched.pop(directory.task_id, None)

    def _tell_gpus(self, directory: TaskDirectory) -> None:
        """Runners divide among themselves the GPUs that are said to be here."""
        task, gpus_dir = directory.task(), self._settings.home / "gpus"
        if task is not None and task.gpu is not None and read_node_gpus(gpus_dir) != gpus_here():
            write_node_gpus(gpus_dir, gpus_here())

    def _give_up(self, directory: TaskDirectory, last: RunnerRecord) -> None:
        """Write the result in the runners' stead, with the runners' lock, and with nothing left that could go on."""
        try:
            with directory.hold():
                remove_remains(directory)
                if directory.outcome() is None:
                    directory.write_outcome(lost_result(directory, last))
                directory.finalize()
        except AlreadyServed:
            logger.debug("%s is served after all", directory.task_id)


def remove_remains(directory: TaskDirectory) -> None:
    """Leave nothing of the attempt running. Raises EngineError where that cannot be made sure of."""
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
                f"its runners died, and its container may still run: {error.what}",
                where=directory.task_id,
                remedy=error.remedy,
            ) from error
    AttemptRunner(task, directory).clear()


def _attempt(task: StageTask) -> tuple[str, str, str, str, int]:
    return task.project, task.pipeline, task.run_id, task.stage, task.attempt


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
        shutil.rmtree(path)
    except OSError as error:
        raise EngineError(f"cannot be deleted: {error}", where=str(path)) from error


@cache
def gpus_here() -> tuple[NodeGpu, ...]:
    """This machine's GPUs. Looked for once a process: that takes up to a second, and they do not change."""
    return hardware.detect_gpus().gpus


@cache
def this_node() -> Node:
    """This machine."""
    return Node(
        name=hardware.node_name(),
        cpus=hardware.usable_cpus(),
        memory_bytes=hardware.usable_memory_bytes(),
        gpus=gpus_here(),
        containers=containers_here(),
    )


def containers_here() -> str:
    """What runs containers here; empty where nothing does."""
    from winslow_dagster.stages.launchers.docker.containers import DockerDaemon

    try:
        return f"Docker, API {DockerDaemon.connect().api_version}"
    except ServiceUnavailable:
        return ""
