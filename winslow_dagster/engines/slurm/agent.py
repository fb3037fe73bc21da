"""The agent of a job, which the batch script starts on the node (`job.py`).

It asks the control plane for its order, runs the stage runner in a fork of itself, again while that dies, and reports.
It dials out only. It ends without a result if Slurm ends the job, or if a newer serving is at work: the control plane
decides what comes next.

A success is delivered as soon as it is stored: while this node clears up, the next stage is submitted.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from winslow_dagster.engines.slurm.control_plane import ControlPlane, ControlPlaneAway
from winslow_dagster.engines.slurm.given_gpus import given_gpus
from winslow_dagster.engines.slurm.job_environment import JobFacts, Signals
from winslow_dagster.engines.slurm.messages import Hello, Order, greeting
from winslow_dagster.engines.slurm.munge import MungeAway, proof
from winslow_dagster.engines.slurm.node_facts import NodeFacts
from winslow_dagster.errors import EngineError, Fenced, WinslowError
from winslow_dagster.privacy import hide_environment
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import LogSummary, NodeGpu, StageResult

if TYPE_CHECKING:
    from winslow_dagster.engines.gpu_readings import GpuSource
    from winslow_dagster.engines.node_usage import NodeUsage
    from winslow_dagster.engines.slurm.gpu_watch import GpuWatch
    from winslow_dagster.engines.slurm.reporting import Reporter

PRELOAD = (
    "winslow_dagster.engines.slurm.delivery",
    "winslow_dagster.engines.slurm.reporting",
    "winslow_dagster.stages.launchers.docker.containers",
    "winslow_dagster.stages.runner.attempt",
    "winslow_dagster.stages.runner.service",
)
"""What nearly every stage needs: imported while the control plane answers."""
GREETING_PATIENCE_S = 600.0
"""How long a job waits for a control plane that is away before it gives its node back."""
RETRY_S = 1.0
TICK_S = 0.2
MAX_RUNNERS = 5
STOP_S = 60.0
"""How much longer than its grace period a stage that was fenced may take to stop."""
LOG_FILE = "agents.log"
INTERRUPTED = "Slurm ended the job"

logger = logging.getLogger(__name__)

Serve = Callable[[Path, NodeSettings, tuple[NodeGpu, ...], Callable[[], None]], int]
"""Brings the attempt in a directory to its result. Calls the function once its outcome is there, and has yet to clear
up. Returns an exit code.
"""


class Agent:
    """Works on one serving of one task, from the first word to the last."""

    def __init__(
        self, facts: NodeFacts, job: JobFacts, serve: Serve, gpu_sources: tuple[GpuSource, ...] | None = None
    ) -> None:
        """`gpu_sources` say what is in use of GPUs; by default all drivers."""
        self._facts = facts
        self._job = job
        self._serve = serve
        self._gpu_sources = gpu_sources
        self._signals = Signals()
        self._settings = NodeSettings(node_dir=facts.node_dir)
        self._plane = ControlPlane(facts.control_plane_url, facts.ca_file, job.task_id, job.submission)
        self._fenced = False
        self._delivered = False

    def run(self) -> None:
        """Do the job. Raises EngineError if the control plane refuses it."""
        gpus = given_gpus(self._facts.gpus, self._job.gpus)
        with ThreadPoolExecutor(1) as elsewhere:
            # The runner's modules take longer to import than the answer takes to come.
            answer = elsewhere.submit(self._greet, gpus)
            for module in PRELOAD:
                importlib.import_module(module)
            order = answer.result()
        gc.enable()  # `job.py` disables it for the imports.
        self._plane.authorize("Bearer", order.key)
        from winslow_dagster.engines.slurm.reporting import Reporter

        directory = self._prepare(order)
        self._forget(order)
        given = self._gpus_of(gpus)
        watch = self._watch(given)
        reporter = Reporter(self._plane, directory, partial(self._usage, watch), order.serving, self._job)
        try:
            self._until_ended(order, directory, reporter, given)
        finally:
            if watch is not None:
                watch.end()
        result = directory.result()
        if result is None or self._fenced:
            self._remove(directory)
            return
        task = order.task
        if not self._delivered:
            self._deliver(order, directory, reporter)
        ended_well = result.exit_code in {*task.success_exit_codes, task.awaiting_input_exit_code}
        if result.outputs is not None or not ended_well:
            self._remove(directory)  # Otherwise the outputs, which could not be stored, are there.

    def _gpus_of(self, gpus: tuple[NodeGpu, ...]) -> tuple[NodeGpu, ...]:
        """Those of the node's GPUs that Slurm has given to this job."""
        return tuple(gpus[number] for number in self._job.gpus)

    def _watch(self, given: tuple[NodeGpu, ...]) -> GpuWatch | None:
        if not given:
            return None
        from winslow_dagster.engines.slurm.gpu_watch import GpuWatch

        return GpuWatch([gpu.uuid for gpu in given], self._settings.tasks_dir, self._gpu_sources)

    def _usage(self, watch: GpuWatch | None) -> NodeUsage:
        from winslow_dagster.engines import local_node

        gpus = () if watch is None else watch.means()
        return local_node.usage_without_gpus(self._settings).model_copy(update={"gpus": gpus})

    def _greet(self, gpus: tuple[NodeGpu, ...]) -> Order:
        kept = tuple(path.name for path in self._settings.tasks_dir.glob("*.s*"))
        hello = Hello(job_id=self._job.job_id, node=self._job.node, gpus=gpus, kept=kept).model_dump_json()
        until_s = time.monotonic() + GREETING_PATIENCE_S
        while True:
            try:
                # A new one each time: a proof is accepted once.
                self._plane.authorize("Munge", proof(greeting(self._job.task_id, self._job.submission)))
                return Order.model_validate_json(self._plane.say("hello", hello))
            except (ControlPlaneAway, MungeAway) as error:
                if time.monotonic() > until_s or self._signals.interrupted:
                    raise
                logger.warning("%s", error)
                select.select([self._signals.reader], [], [], RETRY_S)

    def _prepare(self, order: Order) -> TaskDirectory:
        directory = TaskDirectory.of(self._settings.tasks_dir, order.task.task_id)
        directory.write_task(order.task)
        if order.secrets:
            directory.write_secrets(order.secrets)
        if order.cancel is not None:
            directory.request_cancel(order.cancel)
        return directory

    def _until_ended(
        self, order: Order, directory: TaskDirectory, reporter: Reporter, gpus: tuple[NodeGpu, ...]
    ) -> None:
        """Keep a runner on the attempt until it has a result."""
        died = 0
        while directory.result() is None:
            runner = self._start(order, directory, gpus)
            self._accompany(runner, order, directory, reporter)
            if directory.result() is not None:
                return
            died += 1
            if died >= MAX_RUNNERS:
                self._give_up(directory, died)

    def _start(self, order: Order, directory: TaskDirectory, gpus: tuple[NodeGpu, ...]) -> int:
        """Fork a runner. This process has no other thread, and its modules are imported: no second Python starts."""
        gc.freeze()
        runner = os.fork()
        if runner:
            return runner
        code = 1
        try:
            self._signals.reset()
            with (directory.path / "runner.log").open("ab") as log:
                for stream in (1, 2):
                    os.dup2(log.fileno(), stream)
            if order.checkpoint is not None and not directory.checkpoint.exists():
                from winslow_dagster.engines.slurm.stored import fetch_checkpoint

                fetch_checkpoint(order.task, order.checkpoint, directory.checkpoint)
            code = self._serve(directory.path, self._settings, gpus, self._signals.wake)
        except BaseException:
            logger.exception("the runner died")
        finally:
            os._exit(code)

    def _accompany(self, runner: int, order: Order, directory: TaskDirectory, reporter: Reporter) -> None:
        """Report while the runner runs, and pass on what the control plane and Slurm want."""
        ended, due_s, phase = os.pidfd_open(runner), 0.0, ""
        stop_by_s = float("inf")
        try:
            while True:
                ready, _, _ = select.select([ended, self._signals.reader], [], [], TICK_S)
                if ended in ready:
                    os.waitpid(runner, 0)
                    self._deliver_success(order, directory, reporter)
                    return
                if self._signals.taken():
                    due_s = 0.0
                    self._deliver_success(order, directory, reporter)
                if self._delivered:
                    continue  # The control plane does not listen to this serving any more.
                if self._signals.interrupted:
                    directory.request_cancel(INTERRUPTED)
                if self._fenced:
                    directory.request_cancel("a newer serving is at work")
                    if time.monotonic() > stop_by_s:
                        os.kill(runner, signal.SIGKILL)
                    continue
                status = directory.status()
                if time.monotonic() < due_s and (status is None or status.phase == phase):
                    continue
                phase = "" if status is None else status.phase
                due_s = time.monotonic() + self._report(directory, reporter)
                if self._fenced:
                    stop_by_s = time.monotonic() + order.task.stop_grace_period_s + STOP_S
        finally:
            os.close(ended)

    def _deliver_success(self, order: Order, directory: TaskDirectory, reporter: Reporter) -> None:
        """Deliver the outcome if it is a success: whether the node is then cleared up cannot change that."""
        outcome = None if self._delivered or self._fenced else directory.outcome()
        if outcome is not None and outcome.outcome == "succeeded":
            self._deliver(order, directory, reporter)

    def _deliver(self, order: Order, directory: TaskDirectory, reporter: Reporter) -> None:
        from winslow_dagster.engines.slurm.delivery import deliver

        deliver(order.task, directory, reporter, self._job, self._signals)
        self._delivered = True

    def _report(self, directory: TaskDirectory, reporter: Reporter) -> float:
        """Returns in how many seconds to report again."""
        try:
            reply = reporter.report()
        except Fenced as error:
            logger.warning("fenced: %s", error)
            self._fenced = True
            return 0.0
        except EngineError as error:
            logger.warning("%s", error)
            return RETRY_S
        if reply.cancel is not None:
            directory.request_cancel(reply.cancel)
        return reply.report_after_s

    def _give_up(self, directory: TaskDirectory, died: int) -> None:
        """The result in place of a runner, once nothing of the attempt is running."""
        from winslow_dagster.stages.runner.attempt import AttemptRunner

        task, status = directory.task(), directory.status()
        with directory.hold():
            if task is not None:
                AttemptRunner(task, directory, self._settings).clear()
            directory.remove_secrets()
            directory.write_outcome(
                StageResult(
                    task_id=directory.task_id,
                    outcome="lost",
                    message=f"the stage runner died {died} times in a row; its log is {directory.path / 'runner.log'}",
                    started_at=(status and status.started_at) or datetime.now(UTC),
                    ended_at=datetime.now(UTC),
                    node=self._job.node,
                    mode=status.mode if status else None,
                    log=status.log if status else LogSummary(),
                )
            )
            directory.finalize()

    def _forget(self, order: Order) -> None:
        """Remove what earlier servings have left on this node, such as before it was lost."""
        over = frozenset(order.forget)
        if not over:
            return
        from winslow_dagster.stages.orphans import kill_orphaned_processes, remove_orphaned_containers

        try:
            remove_orphaned_containers(self._settings.tasks_dir, over.__contains__)
            kill_orphaned_processes(self._settings.tasks_dir, over.__contains__)
        except WinslowError as error:
            logger.warning("%s", error)
            return
        for name in over:
            self._remove(TaskDirectory.of(self._settings.tasks_dir, name))

    def _remove(self, directory: TaskDirectory) -> None:
        from winslow_dagster.storage.directories import remove_directory

        try:
            remove_directory(directory.path)
        except OSError as error:
            logger.warning("%s: %s", directory.path, error)


def touch(job: JobFacts) -> subprocess.Popen[bytes]:
    """Have Slurm's controller save its state.

    A job that its backfill scheduler has started is otherwise not in the saved state for a while: if the controller is
    killed in that time, it ends the job and begins it again.
    """
    return subprocess.Popen(  # no shell
        ["scontrol", "update", f"JobId={job.job_id}", f"Comment={job.comment}, on {job.node}"],  # Slurm's own
        stdin=subprocess.DEVNULL,
    )


def main(serve: Serve | None = None, gpu_sources: tuple[GpuSource, ...] | None = None) -> int:
    """Do the job that the environment describes. Returns the exit code."""
    hide_environment()
    facts, job = NodeFacts.read(), JobFacts.read()
    facts.node_dir.mkdir(parents=True, exist_ok=True)
    with (facts.node_dir / LOG_FILE).open("ab", buffering=0) as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    logging.basicConfig(format=f"%(asctime)s job {job.job_id} %(levelname)s %(message)s")
    os.environ.update(facts.environment)
    touched = touch(job)
    try:
        Agent(facts, job, serve or _serve, gpu_sources).run()
    except Fenced as error:
        logger.warning("nothing to do: %s", error)
    except WinslowError as error:
        logger.error("%s", error)  # noqa: TRY400  # it is meant for people
        return error.exit_code
    finally:
        touched.wait()
    return 0


def _serve(path: Path, node: NodeSettings, gpus: tuple[NodeGpu, ...], stored: Callable[[], None]) -> int:
    from winslow_dagster.stages.runner.service import serve

    return serve(path, node, gpus, stored)
