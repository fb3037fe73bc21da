"""Runs one attempt from its task to its result, and takes over attempts whose runner was killed.

Each step is recorded, so that the next runner continues where this one was killed: the start (before anything is
started), the end (the program has ended and its outputs are checked), the outcome (outputs and log are stored), the
result (nothing but the directory is left of the attempt).
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from winslow_dagster.errors import InputRejected, PipelineInvalid, StoreError, WinslowError
from winslow_dagster.formatting import count_of, format_size
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.checks.evaluation import evaluate
from winslow_dagster.stages.checks.promised_outputs import broken_promises
from winslow_dagster.stages.disk_space import DISK_FULL_ERRNOS, ReservedSpace, Space, refuse_full_disk
from winslow_dagster.stages.gpu_allocator import LOOK_AGAIN_S, GpuAllocator, Lease, read_node_gpus, suitable_gpus
from winslow_dagster.stages.launchers.base import ExitStatus, StageLauncher
from winslow_dagster.stages.log import LogReader, LogWriter, SecretMask
from winslow_dagster.stages.log.rules import storable
from winslow_dagster.stages.node_drain import read_drain
from winslow_dagster.stages.runner import runtime_selection
from winslow_dagster.stages.runner.outcome import EndFacts, Verdict, cancelled, verdict
from winslow_dagster.stages.runner.preparation import TaskStore, TransferProgress, Views, launch_of
from winslow_dagster.stages.runner.records import AttemptRecords, AttemptStart
from winslow_dagster.stages.runner.status_writer import StatusWriter
from winslow_dagster.stages.runner.supervision import Supervision
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import (
    CheckResult,
    LogFinding,
    LogSummary,
    NodeGpu,
    Outcome,
    Phase,
    StageResult,
    StageTask,
)
from winslow_dagster.storage.directories import bytes_below, make_accessible, remove_directory
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.outage import retried

LAST_LINES = 10
"""How many lines to search first, from the end, for a non-empty one printed by the stage."""

OutcomeWithForm = tuple[Outcome, str, tuple[dict[str, Any], ...] | None]


class CancelRequested(Exception):
    """The attempt was cancelled before its program started."""


class AttemptRunner:
    """Runs one attempt, in a process that holds the lock of its directory.

    `given_gpus` are those that it has already; None: it takes its GPUs from the node's allocator. `stored` is called
    once the outcome is recorded, before container, processes and scratch are removed.
    """

    def __init__(
        self,
        task: StageTask,
        directory: TaskDirectory,
        node: NodeSettings,
        given_gpus: tuple[NodeGpu, ...] | None = None,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._task = task
        self._directory = directory
        self._node = node
        self._given_gpus = given_gpus
        self._stored = stored
        directory.work.mkdir(exist_ok=True)
        self._records = AttemptRecords(directory.work)
        self._status_writer = StatusWriter(directory)
        self._reserved_space = ReservedSpace(directory.work / "reserved_space")
        self._launcher: StageLauncher | None = None
        self._task_store = TaskStore(task)
        self._lease = Lease((), [])

    def serve(self) -> StageResult:
        """Bring the attempt to its result, from any recorded step."""
        start = self._records.start()
        if start is not None:
            self._status_writer.mode, self._status_writer.started_at = start.mode, start.started_at
        outcome = self._directory.outcome()
        if outcome is None:
            outcome = self._store(self._records.end() or self._run())
            self._directory.write_outcome(outcome)
        self._stored()
        self.clear()
        self._directory.remove_secrets()
        remove_directory(self._directory.work)
        if outcome.outcome == "succeeded":
            with contextlib.suppress(OSError):  # It may belong to another user. Retention will try again.
                remove_directory(self._directory.checkpoint)
        self._directory.finalize()
        return outcome

    def clear(self) -> None:
        """Remove everything of the attempt except its directory: container, processes, GPU lease."""
        start = self._records.start()
        if self._launcher is None and start is not None:
            choice = runtime_selection.Choice(start.mode, start.mode_reason)
            self._launcher = runtime_selection.launcher_of(
                choice, self._task, self._directory, self._announce("storing")
            )
        if self._launcher is not None:
            self._launcher.remove()
        self._lease.release()

    def _run(self) -> StageResult:
        """Run the program to its end, complete its log and check its outputs."""
        exit_status: ExitStatus | None = None
        mask = SecretMask(self._directory.read_secrets().values())
        try:
            # If the block raises, the writer releases the log without ending it.
            with LogWriter(self._directory.log, self._task.log_rules, mask=mask) as writer:
                self._status_writer.summary = writer.summary
                try:
                    exit_status, (outcome, message) = self._run_program(writer)
                except CancelRequested as request:
                    outcome, message = "cancelled", cancelled(str(request))
                except WinslowError as error:
                    outcome, message = "failed", str(error)
                self._reserved_space.release()
        except PipelineInvalid as error:
            outcome, message = "failed", str(error)
        except OSError as error:
            if exit_status is None or error.errno not in DISK_FULL_ERRNOS:
                outcome, message = "failed", self._describe(error)
        log = self._status_writer.summary()
        checks = self._run_checks(outcome, log)
        outcome, message, form = self._with_form(outcome, message, log)
        end = StageResult(
            task_id=self._task.task_id,
            outcome=outcome,
            message=mask.masked_values(message),
            exit_code=exit_status.exit_code if exit_status else None,
            started_at=self._status_writer.started_at,
            ended_at=exit_status.ended_at if exit_status else datetime.now(UTC),
            node=platform.node(),
            mode=self._status_writer.mode,
            image_digest=self._launcher.image_digest if self._launcher else None,
            peak_memory_bytes=exit_status.peak_memory_bytes if exit_status else None,
            unenforced=self._launcher.unenforced if self._launcher else (),
            gpus=self._gpu_ids,
            usage=self._directory.usage(),
            # These may quote the outputs.
            checks=tuple(CheckResult.model_validate(mask.masked_values(check.model_dump())) for check in checks),
            form=mask.masked_values(form),
            log=log,
        )
        self._records.write_end(end)
        return end

    def _run_checks(self, outcome: Outcome, log: LogSummary) -> tuple[CheckResult, ...]:
        """The results of the pipeline's checks; none unless the stage succeeded."""
        if outcome != "succeeded" or not self._task.checks:
            return ()
        self._announce("running")("the stage has ended; checking its outputs")
        return evaluate(self._task.checks, self._directory.output, log.results)

    def _with_form(self, outcome: Outcome, message: str, log: LogSummary) -> OutcomeWithForm:
        """The outcome with the form of a stage that awaits input. A form that cannot be read fails the stage."""
        if outcome != "awaiting_input":
            return outcome, message, None
        from winslow_dagster.stages.runner.awaiting_input import written_form

        try:
            form = written_form(self._directory.output, tuple(self._task.inputs))
        except (InputRejected, OSError) as error:
            return "failed", f"the stage awaits input, but its form is invalid: {error}", None
        if form is None:
            return outcome, message, None
        return outcome, log.awaiting_input_message or form.message or message, tuple(form.as_json()["form"])

    def _run_program(self, writer: LogWriter) -> tuple[ExitStatus, Verdict]:
        """Start the program or take it over, and supervise it to its end."""
        start = self._records.start()
        if start is None:
            self._cancellable("waiting")("")
        announce = self._cancellable("waiting")
        choice = (
            runtime_selection.Choice(start.mode, start.mode_reason)
            if start
            else runtime_selection.choose(self._task, announce)
        )
        self._status_writer.mode = choice.mode
        launcher = runtime_selection.launcher_of(choice, self._task, self._directory, announce)
        self._launcher = launcher
        if start is not None and launcher.started():
            self._lease = self._retaken(start.gpus)
            self._status_writer.gpus = self._gpu_ids
            launcher.attach()
        else:
            self._launch(launcher, choice, writer)
        supervision = Supervision(self._task, self._directory, launcher, writer, self._status_writer)
        exit_status = supervision.until_ended()
        if not exit_status.lost:
            # The program and all that it started have ended: others need the GPUs while the outputs are stored.
            self._lease.release()
        unowned = launcher.chown_outputs()
        for written in (self._directory.output, self._directory.checkpoint):
            make_accessible(written)
        changed = self._views(self._announce("running")).changed(self._task)
        supervision.end_log([note for note in (unowned, changed) if note])
        if supervision.log_problem:
            self._reserved_space.release()
            end_incomplete(writer, supervision.log_problem)
        broken = broken_promises(self._directory.output, self._task.outputs) if not exit_status.failure else ()
        found = EndFacts(
            exit_status,
            writer.summary(),
            supervision.stopping,
            broken,
            supervision.full_disk,
            self._last_line(),
            changed,
            supervision.log_problem,
        )
        return exit_status, verdict(self._task, found)

    def _launch(self, launcher: StageLauncher, choice: runtime_selection.Choice, writer: LogWriter) -> None:
        space = refuse_full_disk(self._directory.path)
        if space.low:
            writer.note(f"{space}; the stage may run out of space")
        if choice.mode == "process":
            writer.note(f"running as a process, not in a container: {choice.reason}")
        gpus = self._place_on_node(writer)
        views = self._views(self._cancellable("fetching"))
        launch = launch_of(self._task, self._directory, launcher.places, gpus, views)
        self._reserved_space.reserve()
        self._status_writer.gpus = self._gpu_ids
        self._status_writer.started_at = datetime.now(UTC)
        self._records.write_start(
            AttemptStart(
                mode=choice.mode, mode_reason=choice.reason, gpus=gpus, started_at=self._status_writer.started_at
            )
        )
        self._task_store.begin_to_open()
        launcher.start(launch)
        for limit in launcher.unenforced:
            writer.note(f"not enforced: {limit}")

    def _views(self, announce: Callable[[str], None]) -> Views:
        return Views(self._task_store, self._directory, self._node.cache_dir, announce)

    def _place_on_node(self, writer: LogWriter) -> tuple[NodeGpu, ...]:
        """Wait until the node takes stages, and for its GPUs. It may be drained while this one waits for them."""
        while True:
            while (drain := read_drain(self._node.node_dir)) is not None:
                self._cancellable("waiting")(f"this node takes no new stage: it was {drain}")
                time.sleep(LOOK_AGAIN_S)
            gpus = self._lease_gpus(writer)
            if not gpus or read_drain(self._node.node_dir) is None:
                return gpus
            self._lease.release()

    def _lease_gpus(self, writer: LogWriter) -> tuple[NodeGpu, ...]:
        """Wait for the GPUs that the stage requests; none if it requests none or can do without."""
        gpu = self._task.gpu
        if gpu is None:
            return ()
        given = self._given_gpus
        known = read_node_gpus(self._node.gpus_dir) if given is None else given
        candidates = suitable_gpus(gpu, known, f"stage {self._task.stage}")
        if not candidates:
            writer.note("this machine has no suitable GPU; the GPU is optional, so the stage runs on the CPU")
            return ()
        if given is not None:
            self._lease = Lease(candidates[: gpu.count], [])
            return self._lease.gpus
        allocator = GpuAllocator(self._node.gpus_dir, runtime_selection.is_alive)
        self._lease = allocator.lease(self._task, self._directory, candidates, gpu.count, self._cancellable("waiting"))
        return self._lease.gpus

    def _retaken(self, gpus: tuple[NodeGpu, ...]) -> Lease:
        """The lease of a program that an earlier runner started."""
        if self._given_gpus is not None:
            return Lease(gpus, [])
        return GpuAllocator(self._node.gpus_dir, runtime_selection.is_alive).retake(self._task, self._directory, gpus)

    @property
    def _gpu_ids(self) -> tuple[str, ...]:
        return tuple(gpu.uuid for gpu in self._lease.gpus)

    def _store(self, end: StageResult) -> StageResult:
        """Commit the log, and the outputs of a stage that succeeded or awaits input, to the store."""
        self._status_writer.summary = lambda: end.log
        self._status_writer.show("storing")
        changed: dict[str, object] = {}
        try:
            if end.outcome in {"succeeded", "awaiting_input"}:
                outputs = self._commit_outputs()
                size = format_size(outputs.size_bytes)
                changed = {"outputs": outputs}
                if end.outcome == "succeeded":
                    stored = f"{count_of(len(outputs.files), 'file')}, {size}"
                    changed["message"] = "; ".join(filter(None, (stored, end.message)))
        except CancelRequested as request:
            changed = {"outcome": "cancelled", "message": f"{cancelled(str(request))}; the outputs were not stored"}
        except (StoreError, OSError) as error:
            problem = f"its outputs could not be stored and remain in {self._directory.output}: {error}"
            ended = "succeeded" if end.outcome == "succeeded" else "awaits input"
            changed = {"outcome": "failed", "message": f"the stage {ended}, but {problem}"}
        try:
            changed["log_manifest"] = self._commit_log()
        except (CancelRequested, StoreError, OSError) as error:
            message = changed.get("message", end.message)
            problem = f"the log could not be stored and remains on this node: {error}"
            changed["message"] = "; ".join(filter(None, (str(message), problem)))
        return end.model_copy(update=changed)

    def _commit_outputs(self) -> Manifest:
        """Commit the outputs. Raises CancelRequested, StoreError."""
        store, source, announce = self._task_store.opened(), self._directory.output, self._cancellable("storing")
        progress = TransferProgress("storing the outputs", bytes_below(source), announce)
        return retried(lambda: store.commit_tree(source, self._task.output_address, progress.moved), announce)

    def _commit_log(self) -> Manifest:
        """Commit a copy of the log: its readers keep the original. Only waiting for the store ends with a cancel."""
        store, source = self._task_store.opened(), self._directory.log
        progress = TransferProgress("storing the log", bytes_below(source), self._announce("storing"))
        return retried(
            lambda: store.commit_tree(source, self._task.log_address, progress.moved, keep_source=True),
            self._cancellable("storing"),
        )

    def _cancellable(self, phase: Phase) -> Callable[[str], None]:
        """Writes the status; raises CancelRequested once the attempt is cancelled."""

        def announce(reason: str) -> None:
            if (cancel_reason := self._directory.cancel_reason()) is not None:
                raise CancelRequested(cancel_reason)
            self._status_writer.show(phase, reason)

        return announce

    def _announce(self, phase: Phase) -> Callable[[str], None]:
        """Writes the status."""
        return lambda reason: self._status_writer.show(phase, reason)

    def _last_line(self) -> LogFinding | None:
        """The last line that is not blank; None if the stage printed none."""
        reader = LogReader(self._directory.log)
        last, count = reader.last_number(), LAST_LINES
        while last:
            first = max(1, last - count + 1)
            printed = reader.lines(first, last, streams=("stdout", "stderr"))
            lines = [line for line in printed if line.text.strip()]
            if lines:
                return LogFinding(line=lines[-1].number, text=storable(lines[-1].text))
            last, count = first - 1, count * 10
        return None

    def _describe(self, error: OSError) -> str:
        if error.errno in DISK_FULL_ERRNOS:
            self._reserved_space.release()
            return f"the disk is full: {Space.at(self._directory.path)}"
        return f"failed by an error on this node: {error}"


def end_incomplete(writer: LogWriter, problem: str) -> None:
    """End a log whose rest cannot be stored, with a line that says so where that is possible."""
    try:
        writer.reopen()
        writer.note(f"the rest of the log is missing: {problem}")
        writer.close()
    except OSError:  # The result says what is missing, and why.
        writer.abandon()
