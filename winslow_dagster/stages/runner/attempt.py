"""The life of one attempt, from its task to its result, whichever runner lives which part of it.

Written down on the way, so that the next runner goes on where this one was killed: the beginning (before anything is
started), the ending (once the program has ended and its outputs were checked), the outcome (once outputs and log are
stored), the result (once nothing is left of the attempt but its directory).
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from winslow_dagster.errors import InputRejected, PipelineInvalid, StoreError, WinslowError
from winslow_dagster.stages.checks.evaluation import evaluate
from winslow_dagster.stages.checks.promised_outputs import broken_promises
from winslow_dagster.stages.disk import NO_ROOM, ReservedSpace, Space, refuse_full_disk
from winslow_dagster.stages.formatting import counted, size_in_words
from winslow_dagster.stages.gpu_allocator import GpuAllocator, Lease, read_node_gpus, suitable
from winslow_dagster.stages.launchers.base import Exit, Launcher
from winslow_dagster.stages.log import LogReader, LogWriter
from winslow_dagster.stages.runner import runtime_selection
from winslow_dagster.stages.runner.awaiting_input import written_form
from winslow_dagster.stages.runner.outcome import Findings, Verdict, cancelled, verdict
from winslow_dagster.stages.runner.preparation import Progress, committed, launch_of
from winslow_dagster.stages.runner.records import Beginning, Records
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
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.manifest import Manifest

LAST_LINES = 10
"""So many are looked through for one that the stage printed and that is not empty."""

Asked = tuple[Outcome, str, tuple[dict[str, Any], ...] | None]


class CancelAsked(Exception):
    """The attempt shall end before its program began."""


class Attempt:
    """One attempt, served by a runner that holds its directory."""

    def __init__(self, task: StageTask, directory: TaskDirectory) -> None:
        self._task = task
        self._directory = directory
        directory.work.mkdir(exist_ok=True)
        self._records = Records(directory.work)
        self._status_writer = StatusWriter(directory)
        self._reserved_space = ReservedSpace(directory.work / "ballast")
        self._launcher: Launcher | None = None
        self._lease = Lease((), [])
        self._rooms = directory.path.parent.parent / "gpus"

    def serve(self) -> StageResult:
        """Bring the attempt to its result, from wherever it is."""
        beginning = self._records.beginning()
        if beginning is not None:
            self._status_writer.mode, self._status_writer.began_at = beginning.mode, beginning.began_at
        outcome = self._directory.outcome()
        if outcome is None:
            outcome = self._stored(self._records.ending() or self._ended())
            self._directory.write_outcome(outcome)
        self.clear()
        remove_work(self._directory.work)
        if outcome.outcome == "succeeded":
            shutil.rmtree(self._directory.checkpoint, ignore_errors=True)
        self._directory.finalize()
        return outcome

    def clear(self) -> None:
        """Leave nothing of the attempt but its directory: no container, no process, no GPU."""
        beginning = self._records.beginning()
        if self._launcher is None and beginning is not None:
            choice = runtime_selection.Choice(beginning.mode, beginning.mode_reason)
            self._launcher = runtime_selection.launcher_of(choice, self._task, self._directory, self._show("storing"))
        if self._launcher is not None:
            self._launcher.remove()
        self._lease.release()

    def _ended(self) -> StageResult:
        """How the program ended, with its log complete and its outputs checked."""
        how: Exit | None = None
        try:
            # Left by an error, the writer lets the log go without ending it.
            with LogWriter(self._directory.log, self._task.log_rules) as writer:
                self._status_writer.summary = writer.summary
                try:
                    how, (outcome, message) = self._lived(writer)
                except CancelAsked as asked:
                    outcome, message = "cancelled", cancelled(str(asked))
                except WinslowError as error:
                    outcome, message = "failed", str(error)
                self._reserved_space.drop()
        except PipelineInvalid as error:
            outcome, message = "failed", str(error)
        except OSError as error:
            if how is None or error.errno not in NO_ROOM:
                outcome, message = "failed", self._in_words(error)
        log = self._status_writer.summary()
        checks = self._checked(outcome, log)
        outcome, message, form = self._asked(outcome, message, log)
        ending = StageResult(
            task_id=self._task.task_id,
            outcome=outcome,
            message=message,
            exit_code=how.exit_code if how else None,
            started_at=self._status_writer.began_at,
            ended_at=how.ended_at if how else datetime.now(UTC),
            node=platform.node(),
            mode=self._status_writer.mode,
            image_digest=self._launcher.image_digest if self._launcher else None,
            peak_memory_bytes=how.peak_memory_bytes if how else None,
            unenforced=self._launcher.unenforced if self._launcher else (),
            gpus=tuple(gpu.uuid for gpu in self._lease.gpus),
            checks=checks,
            form=form,
            log=log,
        )
        self._records.write_ending(ending)
        return ending

    def _checked(self, outcome: Outcome, log: LogSummary) -> tuple[CheckResult, ...]:
        """What came of the pipeline's checks of what a stage wrote that succeeded."""
        if outcome != "succeeded" or not self._task.checks:
            return ()
        self._show("running")("the stage has ended; its outputs are being checked")
        return evaluate(self._task.checks, self._directory.output, log.results)

    def _asked(self, outcome: Outcome, message: str, log: LogSummary) -> Asked:
        """The outcome with what a stage asks that needs a person; a question nobody can read is a failure."""
        if outcome != "awaiting_input":
            return outcome, message, None
        try:
            form = written_form(self._directory.output, tuple(self._task.inputs))
        except (InputRejected, OSError) as error:
            return "failed", f"the stage needs a person, and what it asks cannot be used: {error}", None
        if form is None:
            return outcome, message, None
        return outcome, log.awaiting_input_message or form.message or message, tuple(form.as_json()["form"])

    def _lived(self, writer: LogWriter) -> tuple[Exit, Verdict]:
        """Start the program or take it over, and see it to its end."""
        beginning = self._records.beginning()
        if beginning is None:
            self._asking("waiting")("")
        choice = (
            runtime_selection.Choice(beginning.mode, beginning.mode_reason)
            if beginning
            else runtime_selection.choose(self._task)
        )
        self._status_writer.mode = choice.mode
        launcher = runtime_selection.launcher_of(choice, self._task, self._directory, self._asking("waiting"))
        self._launcher = launcher
        if beginning is not None and launcher.started():
            self._lease = GpuAllocator(self._rooms, runtime_selection.lives).retake(
                self._task, self._directory, beginning.gpus
            )
            launcher.attach()
        else:
            self._begin(launcher, choice, writer)
        supervision = Supervision(self._task, self._directory, launcher, writer, self._status_writer)
        how = supervision.until_ended()
        if problem := launcher.chown_outputs():
            note(writer, problem)
        broken = broken_promises(self._directory.output, self._task.outputs) if not how.failure else ()
        found = Findings(
            how, writer.summary(), supervision.stopping, broken, supervision.full_disk, self._last_line(how)
        )
        return how, verdict(self._task, found)

    def _begin(self, launcher: Launcher, choice: runtime_selection.Choice, writer: LogWriter) -> None:
        space = refuse_full_disk(self._directory.path)
        if space.low:
            note(writer, f"{space}; the stage may run out of it")
        if choice.mode == "process":
            note(writer, f"runs as a process, not in a container: {choice.reason}")
        gpus = self._given_gpus(writer)
        launch = launch_of(self._task, self._directory, launcher.places, gpus, self._asking("fetching"))
        self._reserved_space.load()
        self._status_writer.began_at = datetime.now(UTC)
        self._records.write_beginning(
            Beginning(mode=choice.mode, mode_reason=choice.reason, gpus=gpus, began_at=self._status_writer.began_at)
        )
        launcher.start(launch)
        for limit in launcher.unenforced:
            note(writer, f"not enforced: {limit}")

    def _given_gpus(self, writer: LogWriter) -> tuple[NodeGpu, ...]:
        """The GPUs the stage asked for, once they are its own."""
        gpu = self._task.gpu
        if gpu is None:
            return ()
        candidates = suitable(gpu, read_node_gpus(self._rooms), f"stage {self._task.stage}")
        if not candidates:
            note(writer, "this machine has no GPU for the stage, which can do without: it runs on the CPU")
            return ()
        room = GpuAllocator(self._rooms, runtime_selection.lives)
        self._lease = room.lease(self._task, self._directory, candidates, gpu.count, self._asking("waiting"))
        return self._lease.gpus

    def _stored(self, ending: StageResult) -> StageResult:
        """The ending with the outputs, if it succeeded or asks a person, and the log in the store."""
        self._status_writer.summary = lambda: ending.log
        self._status_writer.say("storing")
        changed: dict[str, object] = {}
        try:
            if ending.outcome in {"succeeded", "awaiting_input"}:
                outputs = self._commit(self._directory.output, self._task.output_address, "the outputs")
                size = size_in_words(outputs.size_bytes)
                changed = {"outputs": outputs}
                if ending.outcome == "succeeded":
                    changed["message"] = f"{ending.message}: {counted(len(outputs.files), 'file')}, {size}"
        except CancelAsked as asked:
            changed = {"outcome": "cancelled", "message": f"{cancelled(str(asked))}; its outputs were not stored"}
        except (StoreError, OSError) as error:
            kept = f"its outputs could not be stored, and lie in {self._directory.output}: {error}"
            ended = "succeeded" if ending.outcome == "succeeded" else "needs a person"
            changed = {"outcome": "failed", "message": f"the stage {ended}; {kept}"}
        try:
            log_copy = second_names(self._directory.log, self._directory.work / "log")
            changed["log_manifest"] = self._commit(log_copy, self._task.log_address, "the log")
        except (CancelAsked, StoreError, OSError) as error:
            said = changed.get("message", ending.message)
            changed["message"] = f"{said}; its log is on this node only: {error}"
        return ending.model_copy(update=changed)

    def _commit(self, source: Path, address: str, name: str) -> Manifest:
        store = open_store(self._task.store_url, self._task.s3_endpoint)
        progress = Progress(f"stores {name}", size_of(source), self._show("storing"))
        return committed(store, source, address, progress, self._asking("storing"))

    def _asking(self, phase: Phase) -> Callable[[str], None]:
        """Shows what goes on, and raises CancelAsked once the attempt shall end."""

        def announce(reason: str) -> None:
            if (asked := self._directory.cancel_reason()) is not None:
                raise CancelAsked(asked)
            self._status_writer.say(phase, reason)

        return announce

    def _show(self, phase: Phase) -> Callable[[str], None]:
        """Shows what goes on, and nothing else."""
        return lambda reason: self._status_writer.say(phase, reason)

    def _last_line(self, how: Exit) -> LogFinding | None:
        """The last line the stage printed, where its end needs explaining; None where it printed nothing."""
        if how.exit_code in self._task.success_exit_codes:
            return None
        tail = LogReader(self._directory.log).tail(LAST_LINES)
        lines = [line for line in tail if line.stream != "winslow" and line.text.strip()]
        return LogFinding(line=lines[-1].number, text=lines[-1].text) if lines else None

    def _in_words(self, error: OSError) -> str:
        if error.errno in NO_ROOM:
            self._reserved_space.drop()
            return f"the disk is full: {Space.at(self._directory.path)}"
        return f"this node failed the stage: {error}"


def note(writer: LogWriter, text: str) -> None:
    """Put a word of the runner's own into the log."""
    writer.write("winslow", f"{text}\n".encode())


def second_names(log: Path, target: Path) -> Path:
    """The log's files under second names, so that storing them leaves the first ones where readers look."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir()
    for file in log.iterdir():
        (target / file.name).hardlink_to(file)
    return target


def size_of(directory: Path) -> int:
    """The bytes in the directory's files; 0 where it is gone."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def remove_work(work: Path) -> None:
    """Remove the scratch directory, read-only views included."""

    def make_writable(function: Callable[..., object], path: str, _: object) -> None:
        Path(path).parent.chmod(0o700)
        function(path)

    shutil.rmtree(work, onerror=make_writable)
