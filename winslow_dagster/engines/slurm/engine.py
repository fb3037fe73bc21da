"""The engine of a Slurm cluster: every attempt is a job, whose agent runs the stage runner and reports to the console.

The task directories here are mirrors of those on the nodes. This module decides whether a task needs another job; what
agents say is taken at the desk (`desk.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from typing_extensions import override

from winslow_dagster.engines.directory_engine import (
    CachedState,
    DirectoryEngine,
    end_without_runner,
    has_result,
    start_lock,
)
from winslow_dagster.engines.engine import (
    Node,
    NodeImage,
    NodeUsage,
    Orphan,
    Span,
    TaskState,
    UsageHistory,
    missing_tags,
    unknown_node,
)
from winslow_dagster.engines.runner_records import HEALTHY_AFTER, MAX_FAILED_STARTS, progress_of
from winslow_dagster.engines.slurm.agent_keys import AgentKeys
from winslow_dagster.engines.slurm.cluster_nodes import ClusterNodes
from winslow_dagster.engines.slurm.commands import SlurmAway, SlurmRefused, cancel_job, slurm
from winslow_dagster.engines.slurm.desk import Desk, note_follower
from winslow_dagster.engines.slurm.job_queue import Job, JobQueue, Look
from winslow_dagster.engines.slurm.job_request import asked_of, batch_script, sbatch_arguments
from winslow_dagster.engines.slurm.ledger import Held, Ledger, Submission, ledger_lock, of_serving
from winslow_dagster.engines.slurm.live_files import LiveFiles
from winslow_dagster.engines.slurm.node_reports import NodeReports
from winslow_dagster.engines.slurm.priorities import JobPriorities
from winslow_dagster.engines.slurm.stored import remove_unused, stored_result
from winslow_dagster.engines.slurm.words import waiting_reason
from winslow_dagster.errors import NotFound, ServiceUnavailable, StoreUnreachable
from winslow_dagster.formatting import format_duration
from winslow_dagster.settings import Settings
from winslow_dagster.stages.log import LogReader
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.growing_output import GrowingFile
from winslow_dagster.stages.task.model import NodeGpu, StageStatus, StageTask
from winslow_dagster.storage.secrets import SecretStore

AGENT = "winslow_dagster.engines.slurm.job"
SILENT_S = 60.0
NS_PER_S = 1_000_000_000
RECENT_S = 3.0
"""How old the look at the queue may be by which it is decided whether a job is gone."""
AWAY_AGAIN_S = 2.0
CLEANS_UP_S = 60.0
TRY_AGAIN_S = 15.0
"""How long after a refusal a job is submitted again: a node that can run it may have joined."""

logger = logging.getLogger(__name__)


class SlurmEngine(DirectoryEngine):
    """Runs the tasks on the nodes of a partition. `agent` is the module that jobs execute."""

    def __init__(self, settings: Settings, *, agent: str = AGENT) -> None:
        super().__init__(settings.node.tasks_dir)
        self._settings = settings
        self._agent = agent
        directory = settings.home / "slurm"
        self._reports = reports = NodeReports(directory / "nodes")
        self._keys = AgentKeys(settings.home)
        self._queue = JobQueue(directory)
        self._nodes = ClusterNodes(settings.slurm, reports)
        self._priorities = JobPriorities()
        self._desk = Desk(settings, self._keys, reports, self._nodes.drain)

    @override
    def status(self, task_id: str) -> TaskState:
        cached = self._cached_state(task_id)
        if cached.result is not None:
            return TaskState(known=True, status=cached.status, result=cached.result)
        directory = self._directory(task_id)
        ledger = Ledger.read(directory)
        look = Look() if ledger.last is None else self._queue.look()
        cached.read_status(directory)
        if has_result(directory):  # After the look: an agent that has ended has delivered its result before.
            cached.result = directory.result()
            return TaskState(known=True, status=cached.status, result=cached.result)
        if ledger.held is not None and time.time() < ledger.held.until_s:
            status = waiting(task_id, ledger.held.reason)
            return TaskState(known=True, runner_started=False, runner_alive=True, status=status)
        if ledger.last is None:
            return TaskState(known=(directory.path / "task.json").exists(), runner_started=False)
        said = said_by_agent(cached) if ledger.greeted else None
        return self._by_its_job(directory, ledger.last, look, said)

    def _by_its_job(
        self, directory: TaskDirectory, last: Submission, look: Look, status: StageStatus | None
    ) -> TaskState:
        """The state of a task that was submitted and has no result. `status` is what its agent says."""
        task_id = directory.task_id
        if look.problem:
            reason = f"Slurm cannot be asked now: {look.problem}. What runs goes on."
            status = status or waiting(task_id, reason)
            return TaskState(known=True, runner_alive=True, cannot_tell=reason, status=status)
        job = look.job(self._job_name(task_id))
        gone = job is None and look.at_s > last.at_s
        if (gone or (job and job.pending)) and directory.cancel_reason() is not None:
            # Nothing runs that would end it. It may have been requested while Slurm was away.
            self._ensure_served(directory)
            if (result := directory.result()) is not None:
                return TaskState(known=True, status=status, result=result)
        if job is not None:
            status = status or waiting(task_id, waiting_reason(job))
        return TaskState(known=True, runner_alive=not gone, status=status)

    @override
    def log(self, task_id: str) -> LogReader:
        note_follower(self._directory(task_id))
        return super().log(task_id)

    @override
    def growing_files(self, task_id: str) -> tuple[GrowingFile, ...]:
        return LiveFiles(self._directory(task_id)).names()

    @override
    def read_growing(self, task_id: str, path: str, most_bytes: int) -> bytes:
        directory = self._directory(task_id)
        note_follower(directory)
        return LiveFiles(directory).read(path, most_bytes)

    @override
    def forget(self, task_id: str) -> bool:
        directory = self._directory(task_id)
        task, result = directory.task(), directory.result()
        if task is not None and result is not None:
            remove_unused(task, result, Ledger.read(directory).serving)
        return super().forget(task_id)

    @override
    def remove_orphans(self) -> tuple[Orphan, ...]:
        look = self._queue.look_after(time.time())
        prefix, removed = self._job_name(""), []
        for job in look.jobs() if not look.problem else ():
            task_id = job.name.removeprefix(prefix)
            if job.name.startswith(prefix) and self._is_over(self._directory(task_id), job):
                cancel_job(job.job_id)
                removed.append(Orphan(task_id=task_id, kind="process"))
        return tuple(removed)

    def _is_over(self, directory: TaskDirectory, job: Job) -> bool:
        """Whether a job has nothing to do any more. One that has just delivered the result still cleans up."""
        try:
            delivered_s = time.time() - (directory.path / "result.json").stat().st_mtime
        except FileNotFoundError:
            return not directory.path.exists()
        last = Ledger.read(directory).last
        return last is None or last.job_id != job.job_id or delivered_s > CLEANS_UP_S

    @override
    def cache_bytes(self) -> int:
        return 0  # Each node has a cache of its own, and keeps it within its limit.

    @override
    def image_digest(self, task: StageTask) -> str | None:
        return None if task.mode == "process" or task.image is None else ""

    @override
    def images(self, names: Collection[str]) -> tuple[NodeImage, ...]:
        raise ServiceUnavailable(
            "which images the nodes of a cluster have is not known: each pulls those that it does not have",
            where="Slurm",
            remedy="List those of a node there: docker image ls",
        )

    @override
    def nodes(self) -> tuple[Node, ...]:
        return self._nodes.nodes()

    @override
    def node_usage(self) -> tuple[NodeUsage, ...]:
        return self._nodes.usage()

    @override
    def usage_history(self, span: Span, points: int = 720) -> tuple[UsageHistory, ...]:
        return tuple(self._reports.history(node.name, span, points) for node in self._nodes.look())

    @override
    def gpu_usage(self, node: str, gpus: Collection[str], since: datetime, until: datetime) -> UsageHistory | None:
        return self._reports.gpu_usage(node, gpus, since, until)

    @override
    def usable_gpus(self) -> tuple[NodeGpu, ...]:
        return tuple(gpu for node in self._nodes.look() if node.takes_stages for gpu in self._nodes.gpus(node))

    @override
    def set_priorities(self, priorities: Mapping[str, int]) -> None:
        look = self._queue.look()
        jobs = {task_id: look.job(self._job_name(task_id)) for task_id in priorities}
        self._priorities.tell({job.job_id: priorities[task_id] for task_id, job in jobs.items() if job and job.pending})

    @override
    def takes_stages(self) -> bool:
        try:
            return any(node.takes_stages for node in self._nodes.look())
        except SlurmAway:
            return True  # What is submitted meanwhile waits.

    @override
    def drain(self, node: str, *, by: str, reason: str = "") -> None:
        self._require_node(node)
        self._nodes.drain(node, by, reason)

    @override
    def undrain(self, node: str) -> bool:
        found = self._require_node(node)
        if found.drain is None:
            return False
        self._nodes.undrain(node)
        return True

    @override
    def agent_desk(self) -> Desk:
        return self._desk

    def _require_node(self, name: str) -> Node:
        nodes = self.nodes()
        for node in nodes:
            if node.name == name:
                return node
        raise unknown_node(name, nodes)

    def _job_name(self, task_id: str) -> str:
        return f"winslow-{self._keys.installation}-{task_id}"

    @override
    def _ensure_served(self, directory: TaskDirectory) -> None:
        with start_lock(directory):
            try:
                self._serve(directory)
            except (SlurmAway, StoreUnreachable) as error:
                self._hold(directory, str(error), AWAY_AGAIN_S)

    def _serve(self, directory: TaskDirectory) -> None:
        """The caller holds the start lock. Raises SlurmAway."""
        task, ledger = directory.task(), Ledger.read(directory)
        if task is None or has_result(directory):
            return
        last = ledger.last
        if last is not None:
            look = self._queue.look_after(max(last.at_s, time.time() - RECENT_S))
            if look.problem:
                return  # Never submit blindly: its job may be there.
            job = look.job(self._job_name(task.task_id))
            if job is not None:
                self._end_if_requested(directory, job)
                return
            if has_result(directory) or self._take_stored_result(task, directory, ledger):
                return
        if (reason := directory.cancel_reason()) is not None:
            end_without_runner(directory, "cancelled", reason)
        elif last is None and (reason := self._refusal(task)):
            end_without_runner(directory, "failed", reason)
        elif (failed := self._failed_in_a_row(directory, ledger)) >= MAX_FAILED_STARTS:
            end_without_runner(
                directory,
                "lost",
                f"the stage runner died {MAX_FAILED_STARTS} times in a row without making progress; its last job was "
                f"{last.job_id if last else ''}: scontrol show job, and the node's file agents.log, may say why",
            )
        else:
            self._submit(task, directory, ledger, failed)

    def _submit(self, task: StageTask, directory: TaskDirectory, ledger: Ledger, failed: int) -> None:
        number = ledger.numbers + 1
        submission = Submission(
            number=number, at_s=time.time(), progress=progress_of(directory.status()), failed_before=failed
        )
        self._write(directory, numbers=number, last=submission, held=None)
        gpu = task.gpu
        try:
            with_gpu = gpu is not None and (not gpu.optional or self._nodes.have(gpu))
            small = self._nodes.too_small_for(gpu) if gpu is not None and with_gpu else frozenset[str]()
            name = self._job_name(task.task_id)
            arguments = sbatch_arguments(task, name, self._settings.slurm, with_gpu=with_gpu, without_nodes=small)
            script = batch_script(self._settings.slurm, self._agent, task, number)
            printed = slurm("sbatch", *arguments, stdin=script)
        except SlurmRefused as error:
            if not error.waits_for:
                self._write(directory, last=ledger.last)
                end_without_runner(directory, "failed", str(error))
                return
            reason = f"{error.waits_for}: {asked_of(task)}. It is tried again as nodes join."
            self._write(directory, last=ledger.last)
            self._hold(directory, reason, TRY_AGAIN_S)
            return
        job_id = printed.strip().partition(";")[0]
        self._write(directory, last=submission.model_copy(update={"job_id": job_id, "at_s": time.time()}))
        logger.info("%s is job %s", task.task_id, job_id)

    def _hold(self, directory: TaskDirectory, reason: str, for_s: float) -> None:
        """Let the task wait here, for this reason, before it is tried again."""
        self._write(directory, held=Held(reason=reason, until_s=time.time() + for_s))

    def _write(self, directory: TaskDirectory, **fields: object) -> Ledger:
        """Change the ledger. The newest serving's fields may have changed since it was read."""
        with ledger_lock(directory):
            return Ledger.read(directory).changed(**fields).write(directory)

    def _refusal(self, task: StageTask) -> str:
        """Why the task cannot be submitted at all; empty if it can."""
        if task.node_tags and (reason := missing_tags(task, self.nodes())):
            return reason
        try:
            SecretStore(self._settings.secrets_dir).require([each.secret for each in task.secrets.values()])
        except NotFound as error:
            return str(error)
        return ""

    def _failed_in_a_row(self, directory: TaskDirectory, ledger: Ledger) -> int:
        """How many submissions in a row ended without having come any further."""
        last, status = ledger.last, directory.status()
        if last is None or not last.job_id:
            return 0 if last is None else last.failed_before  # Slurm was away, or there never was a job.
        if last.refused:
            return last.failed_before
        if ledger.greeted and status is not None:
            healthy_s = HEALTHY_AFTER.total_seconds()
            if status.updated_at.timestamp() - last.at_s >= healthy_s or progress_of(status) != last.progress:
                return 0
        return last.failed_before + 1

    def _end_if_requested(self, directory: TaskDirectory, job: Job) -> None:
        """Take a waiting job out of the queue, or wake the agent: it asks at once instead of at its next report."""
        if directory.cancel_reason() is None:
            return
        if job.pending:
            cancel_job(job.job_id, "--state=PENDING")  # If it has just begun, its agent is told.
        elif Ledger.read(directory).greeted:
            cancel_job(job.job_id, "--batch", "--signal=USR1")

    def _take_stored_result(self, task: StageTask, directory: TaskDirectory, ledger: Ledger) -> bool:
        """Take the result that the newest serving left in the store while the control plane was away."""
        if not ledger.greeted or (result := stored_result(of_serving(task, ledger.serving))) is None:
            return False
        with ledger_lock(directory):
            if not has_result(directory):
                directory.write_outcome(result)
                directory.finalize()
        return True


def said_by_agent(cached: CachedState) -> StageStatus | None:
    """What the agent says of the task. If it has been silent for long, that is the reason shown."""
    status, stamp = cached.status, cached.status_stamp
    if status is None or stamp is None:
        return status
    silent_s = time.time() - stamp[0] / NS_PER_S
    if silent_s < SILENT_S:
        return status
    reason = f"its agent on {status.node} has not reported for {format_duration(silent_s)}; the node may be cut off"
    return status.model_copy(update={"reason": reason})


def waiting(task_id: str, reason: str) -> StageStatus:
    """The status of a task that no agent serves yet."""
    return StageStatus(task_id=task_id, phase="waiting", reason=reason, updated_at=datetime.now(UTC))
