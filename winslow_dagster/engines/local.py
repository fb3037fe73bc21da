"""The engine of one machine: every stage runner is a detached process on it, and all state is in files."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from typing_extensions import override

from winslow_dagster.defaults import PACKAGE_DIR
from winslow_dagster.engines import hardware, local_node, usage_history
from winslow_dagster.engines.directory_engine import (
    DirectoryEngine,
    end_without_runner,
    has_result,
    start_lock,
)
from winslow_dagster.engines.engine import (
    Node,
    NodeGpu,
    NodeImage,
    NodeUsage,
    Orphan,
    Span,
    TaskState,
    UsageHistory,
    missing_tags,
    unknown_node,
)
from winslow_dagster.engines.runner_records import RunnerRecord, lost_result
from winslow_dagster.engines.spawn import spawn_detached
from winslow_dagster.errors import EngineError, NotFound, ServiceUnavailable
from winslow_dagster.locks import free_within
from winslow_dagster.settings import NodeSettings, Settings
from winslow_dagster.stages.gpu_allocator import has_node_gpus, read_node_gpus, write_node_gpus, write_order
from winslow_dagster.stages.node_drain import Drain, read_drain, remove_drain, write_drain
from winslow_dagster.stages.runner.records import AttemptRecords
from winslow_dagster.stages.task.directory import AlreadyServed, TaskDirectory
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.directories import bytes_below, remove_directory
from winslow_dagster.storage.secrets import SecretStore

RUNNER = "winslow_dagster.stages.runner.service"
LOCK_RELEASE_TIMEOUT_S = 5.0
"""A killed runner counts as dead a moment before its lock is free: a thread, or a child before its exec, has it."""
LIVENESS_POLL_S = 0.25
NOT_FOR_RUNNERS = ("WINSLOW_DATABASE_URL", "DAGSTER_", "PG")
"""Prefixes of variables of the control plane."""

logger = logging.getLogger(__name__)


class LocalEngine(DirectoryEngine):
    """Runs the tasks in `settings.node.tasks_dir`. `runner` is the module that runners execute."""

    def __init__(self, settings: Settings, *, runner: str = RUNNER) -> None:
        super().__init__(settings.node.tasks_dir)
        self._settings = settings
        self._node = settings.node
        self._runner = runner

    @override
    def status(self, task_id: str) -> TaskState:
        cached = self._cached_state(task_id)
        if cached.result is not None:
            return TaskState(known=True, status=cached.status, result=cached.result)
        directory = self._directory(task_id)
        now_s = time.monotonic()
        if now_s - cached.checked_at_s >= LIVENESS_POLL_S:
            # Before the result: a runner that exits after its work has written one.
            cached.alive = RunnerRecord.alive_in(directory)
            cached.checked_at_s = now_s
        cached.read_status(directory)
        if has_result(directory):
            cached.result = directory.result()
            return TaskState(known=True, status=cached.status, result=cached.result)
        if cached.alive or cached.status is not None:
            return TaskState(known=True, runner_alive=cached.alive, status=cached.status)
        started = RunnerRecord.read(directory) is not None
        return TaskState(known=(directory.path / "task.json").exists(), runner_started=started)

    @override
    def remove_orphans(self) -> tuple[Orphan, ...]:
        # Imported here: only the daemon's sensor removes orphans.
        from winslow_dagster.stages.orphans import kill_orphaned_processes, remove_orphaned_containers

        def over(task_id: str) -> bool:
            directory = self._directory(task_id)
            return not directory.path.exists() or has_result(directory)

        containers = remove_orphaned_containers(self._node.tasks_dir, over)
        processes = kill_orphaned_processes(self._node.tasks_dir, over)
        return (
            *(Orphan(task_id=task_id, kind="container") for task_id in containers),
            *(Orphan(task_id=task_id, kind="process") for task_id in processes),
        )

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
    def gpu_usage(self, node: str, gpus: Collection[str], since: datetime, until: datetime) -> UsageHistory | None:
        del node
        return usage_history.of_gpus(self._node, hardware.node_name(), gpus, since, until)

    @override
    def gpus(self) -> tuple[NodeGpu, ...]:
        return local_node.gpus_here().gpus

    @override
    def usable_gpus(self) -> tuple[NodeGpu, ...]:
        # The queue asks once a second: so runners that wait for a GPU learn that it is lost, or back.
        gpus, gpus_dir = self.gpus(), self._node.gpus_dir
        if has_node_gpus(gpus_dir) and read_node_gpus(gpus_dir) != gpus:
            write_node_gpus(gpus_dir, gpus)
        return gpus if self.takes_stages() else ()

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
    def set_priorities(self, priorities: Mapping[str, int]) -> None:
        write_order(self._node.gpus_dir, priorities)

    def _require_here(self, node: str) -> None:
        if node != hardware.node_name():
            raise unknown_node(node, self.nodes())

    @override
    def _ensure_served(self, directory: TaskDirectory) -> None:
        with start_lock(directory):
            last = RunnerRecord.read(directory)
            if has_result(directory) or (last is not None and last.alive()):
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
        end_without_runner(directory, "failed", reason)
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
