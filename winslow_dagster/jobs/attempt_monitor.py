"""Watches one attempt from its op: keeps a runner on it, shows its log and progress in Dagit, and passes on a stop."""

from __future__ import annotations

import time

from dagster import OpExecutionContext

from winslow_dagster.engines.engine import Engine, TaskState
from winslow_dagster.formatting import format_duration
from winslow_dagster.jobs.executor import ComputeLogFiles
from winslow_dagster.jobs.interruption import interruption_of
from winslow_dagster.settings import Settings
from winslow_dagster.stages.log import LogReader, StreamMirror
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask, SubjectProgress

LOOK_S = 1.0
"""How often the log is copied to where Dagit shows it. The end of the attempt is seen at once."""
MOST_SHOWN_BYTES = 10_000_000
"""How much of each stream Dagit gets. The whole log stays in its segments."""
TELL_EVERY_S = 60.0
"""At most one progress line a minute reaches the event log, however chatty the stage."""


class AttemptMonitor:
    """`until_ended` returns the result however often the runner, or this op, was killed on the way."""

    def __init__(self, context: OpExecutionContext, engine: Engine, settings: Settings, task: StageTask) -> None:
        self._context = context
        self._engine = engine
        self._task = task
        self._interruption = interruption_of(context.run_id)
        self._phase = ""
        self._told_at = 0.0
        step_key = context.get_step_execution_context().step.key
        self._shown = ComputeLogFiles.of(context.instance, context.run_id, step_key)
        self._shown.out.parent.mkdir(parents=True, exist_ok=True)
        self._mirror = StreamMirror(
            LogReader(TaskDirectory.of(settings.tasks_dir, task.task_id).log),
            self._shown.out,
            self._shown.err,
            limit_bytes=MOST_SHOWN_BYTES,
            note=f"The log goes on: winslow logs {task.project} {task.stage}",
        )

    def until_ended(self) -> StageResult:
        """Submit the attempt (again, whenever its runner is gone) and wait for its end."""
        with self._mirror:
            return self._watch()

    def _watch(self) -> StageResult:
        self._engine.submit(self._task)
        cancelled = False
        while True:
            state = self._engine.wait(self._task.task_id, LOOK_S)
            self._mirror.pump()
            if state.result is not None:
                self._shown.complete.touch()
                return state.result
            self._tell(state)
            if not state.runner_alive:
                self._context.log.warning("the stage runner ended without a result; starting another, which takes over")
                self._engine.submit(self._task)
            if self._interruption.is_set() and not cancelled:
                self._context.log.info("cancelling")
                self._engine.cancel(self._task.task_id, "the run was cancelled")
                cancelled = True

    def _tell(self, state: TaskState) -> None:
        status = state.status
        if status is None:
            return
        phase = f"{status.phase}: {status.reason}" if status.reason else status.phase
        now = time.monotonic()
        if phase != self._phase:
            self._phase = phase
        elif now - self._told_at < TELL_EVERY_S or not status.log.progress:
            return
        self._told_at = now
        self._context.log.info(progress_line(phase, status))


def progress_line(phase: str, status: StageStatus) -> str:
    """Such as `running: frames 120/375 (32 %), 1 m 10 s left; 2 warnings`."""
    parts = [subject_text(subject) for subject in status.log.progress]
    if status.log.warning_count:
        parts.append(f"{status.log.warning_count} warnings")
    if status.log.error_count:
        parts.append(f"{status.log.error_count} errors")
    return f"{phase} ({'; '.join(parts)})" if parts else phase


def subject_text(subject: SubjectProgress) -> str:
    """One subject's progress in words."""
    text = f"{subject.subject} {subject.current:g}"
    if subject.total:
        text += f"/{subject.total:g} ({100 * subject.current / subject.total:.0f} %)"
    if subject.remaining_s is not None:
        text += f", {format_duration(subject.remaining_s)} left"
    return text
