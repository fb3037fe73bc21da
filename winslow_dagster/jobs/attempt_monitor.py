"""Watches one attempt from its op: keeps a runner on it, shows its log and progress in Dagit, forwards cancellation."""

from __future__ import annotations

import time

from dagster import OpExecutionContext

from winslow_dagster.engines.engine import Engine, TaskState
from winslow_dagster.formatting import count_of, format_progress
from winslow_dagster.jobs.executor import ComputeLogFiles
from winslow_dagster.jobs.interruption import interruption_of
from winslow_dagster.stages.log import StreamMirror
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask

COPY_INTERVAL_S = 1.0
"""How often the log is copied to where Dagit shows it. The end of the attempt is noticed at once."""
MAX_SHOWN_BYTES = 10_000_000
"""How much of each stream Dagit gets. The engine and the store keep the whole log."""
PROGRESS_INTERVAL_S = 60.0
"""At most one progress line a minute goes to the event log."""


class AttemptMonitor:
    """`wait_for_result` returns the result even if the runner or this op was killed in between."""

    def __init__(self, context: OpExecutionContext, engine: Engine, task: StageTask) -> None:
        self._context = context
        self._engine = engine
        self._task = task
        self._interruption = interruption_of(context.run_id)
        self._phase = ""
        self._logged_at_s = 0.0
        step_key = context.get_step_execution_context().step.key
        self._files = ComputeLogFiles.of(context.instance, context.run_id, step_key)
        self._files.out.parent.mkdir(parents=True, exist_ok=True)
        self._mirror = StreamMirror(
            engine.log(task.task_id),
            self._files.out,
            self._files.err,
            limit_bytes=MAX_SHOWN_BYTES,
            note=f"Only the beginning is shown here. Whole log: winslow logs {task.project} {task.stage} "
            f"--attempt {task.task_id}",
        )

    def wait_for_result(self) -> StageResult:
        """Submit the attempt, again whenever its runner has died, and wait for its end."""
        with self._mirror:
            return self._watch()

    def _watch(self) -> StageResult:
        self._engine.submit(self._task)
        cancelled = False
        while True:
            state = self._engine.wait(self._task.task_id, COPY_INTERVAL_S)
            self._mirror.pump()
            if state.result is not None:
                self._files.complete.touch()
                return state.result
            self._log_progress(state)
            if not state.runner_alive:
                if state.runner_started:
                    self._context.log.warning("the stage runner exited without a result; starting a replacement")
                self._engine.submit(self._task)
            if self._interruption.is_set() and not cancelled:
                self._context.log.info("cancelling")
                self._engine.cancel(self._task.task_id, "the run was cancelled")
                cancelled = True

    def _log_progress(self, state: TaskState) -> None:
        status = state.status
        if status is None:
            return
        phase = f"{status.phase}: {status.reason}" if status.reason else status.phase
        now_s = time.monotonic()
        if phase != self._phase:
            self._phase = phase
        elif now_s - self._logged_at_s < PROGRESS_INTERVAL_S or not status.log.progress:
            return
        self._logged_at_s = now_s
        self._context.log.info(progress_line(phase, status))


def progress_line(phase: str, status: StageStatus) -> str:
    """Such as `running (frames 120/375 (32 %), 1 m 10 s left; 2 warnings)`."""
    parts = [format_progress(subject) for subject in status.log.progress]
    if status.log.warning_count:
        parts.append(count_of(status.log.warning_count, "warning"))
    if status.log.error_count:
        parts.append(count_of(status.log.error_count, "error"))
    return f"{phase} ({'; '.join(parts)})" if parts else phase
