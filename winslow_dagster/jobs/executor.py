"""Runs the steps of a run as threads of its one worker process, and continues where a dead worker stopped.

A stage op only waits for a stage runner, so a thread is enough: a process per step (Dagster's multiprocess executor)
costs 2.8-4.7 s between ops, a thread 0.01-0.06 s. The state machine is Dagster's own ActiveExecution. When a run is
resumed, it is rebuilt from the event log (`replay`), and the steps that were in flight run again: their ops find the
attempts that they had started by task id. Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    EventLogEntry,
    Failure,
    Field,
    InitExecutorContext,
    Noneable,
    executor,
)
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterUserCodeProcessError
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext, StepExecutionContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_shared.error import SerializableErrorInfo

from winslow_dagster.errors import WinslowError
from winslow_dagster.jobs.interruption import interruption_of

POLL_S = 0.5
"""How often the worker checks for a termination signal, a retry that is due, or a free pool slot."""

STARTS = frozenset({DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED})
REPLAYED = frozenset({DagsterEventType.STEP_OUTPUT, DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE})


def compute_log_key(run_id: str, step_key: str) -> list[str]:
    """The key by which Dagit finds the log of a step."""
    return [run_id, "compute_logs", step_key]


@dataclass(frozen=True, slots=True)
class ComputeLogFiles:
    """The files from which Dagit shows the log of a step; `complete` exists once the log is complete."""

    out: Path
    err: Path
    complete: Path

    @classmethod
    def of(cls, instance: DagsterInstance, run_id: str, step_key: str) -> Self:
        """Raises WinslowError if the instance does not keep its compute logs in local files."""
        logs = instance.compute_log_manager
        if not isinstance(logs, LocalComputeLogManager):
            raise WinslowError(
                f"{type(logs).__name__} cannot show stage logs",
                where="dagster.yaml: compute_logs",
                expected="Dagster's LocalComputeLogManager, which is the default",
                remedy="Remove the entry",
            )
        key = compute_log_key(run_id, step_key)
        return cls(*(Path(logs.get_captured_local_path(key, extension)) for extension in ("out", "err", "complete")))


def replay(active: ActiveExecution, entries: Sequence[EventLogEntry]) -> None:
    """Bring `active` to the state that the events of an earlier worker describe.

    Differs from ActiveExecution.rebuild_from_events in three points, each of which made a resume fail: skip events are
    ignored (the state machine derives them itself and rejects them as input); a retry that has already started does not
    wait again; no pool slots are claimed for finished steps. Steps that were in flight are put back, so that they start
    and claim their slots as usual.
    """
    starts_left: dict[str, int] = {}
    for entry in entries:
        event = entry.dagster_event
        if event and event.step_key and event.event_type in STARTS:
            starts_left[event.step_key] = starts_left.get(event.step_key, 0) + 1
    active.get_steps_to_execute()
    for entry in entries:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.event_type in STARTS:
            starts_left[event.step_key] -= 1
        elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            wait_s = event.step_retry_data.seconds_to_wait
            restarted = starts_left.get(event.step_key, 0) > 0
            active.mark_up_for_retry(event.step_key, None if restarted or not wait_s else entry.timestamp + wait_s)
        elif event.event_type in REPLAYED:
            active.handle_event(event)
        active.get_steps_to_execute()
    active._executable.extend(sorted(active._in_flight))  # noqa: SLF001  # there is no public way to start a step again
    active._in_flight.clear()  # noqa: SLF001


class _ReasonAlone(DagsterUserCodeProcessError):
    """Dagster reports the error information of this class as it is, instead of the exception with its stack."""

    def __init__(self, reason: str) -> None:
        error = SerializableErrorInfo(reason, stack=[], cls_name=None)
        super().__init__(reason, user_code_process_error_infos=[error])  # type: ignore[no-untyped-call]  # Dagster's


class StepFailure(Failure, _ReasonAlone):
    """Fails a step. Dagit shows the reason and the metadata, and no stack: that of a stage op is the framework's."""


class ThreadExecutor(Executor):
    """One thread per step. `max_concurrent` limits the number of concurrent stages of one run."""

    def __init__(self, max_concurrent: int | None) -> None:
        self._max_concurrent = max_concurrent

    @property
    def retries(self) -> RetryMode:
        """The stage op decides about retries, by cause."""
        return RetryMode.ENABLED

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Run the plan; on resume, the rest of it."""
        resuming = plan_context.resume_from_failure
        yield DagsterEvent.engine_event(
            plan_context,
            f"{'Resuming' if resuming else 'Running'} the stages as threads of process {os.getpid()}",
            EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute),
        )

        def steps(job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
            with InstanceConcurrencyContext(job_context.instance, job_context.dagster_run) as slots:
                active = ActiveExecution(
                    execution_plan, retry_mode=job_context.retry_mode, max_concurrent=self._max_concurrent
                )
                with active:
                    if resuming:
                        replay(active, job_context.instance.all_logs(job_context.run_id))
                    active._instance_concurrency_context = slots  # noqa: SLF001  # after the replay: see there
                    yield from StepThreads(job_context, active, self._max_concurrent).run()

        yield from ExecuteRunWithPlanIterable(
            execution_plan=execution_plan,
            iterator=steps,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
            ),
        )


class StepThreads:
    """The loop of one run: starts steps, collects their events, and stops on request."""

    def __init__(self, job_context: PlanExecutionContext, active: ActiveExecution, limit: int | None) -> None:
        self._context = job_context
        self._active = active
        self._limit = limit
        self._threads: dict[str, threading.Thread] = {}
        self._events: queue.SimpleQueue[tuple[str, DagsterEvent | BaseException | None]] = queue.SimpleQueue()
        self._interruption = interruption_of(job_context.run_id)
        self._crashes: list[BaseException] = []

    def run(self) -> Iterator[DagsterEvent]:
        """Yield the events of all steps until all have finished or the run is interrupted."""
        while not self._active.is_complete or self._threads:
            if not self._interruption.is_set() and self._active.check_for_interrupts():
                self._active.mark_interrupted()
                yield DagsterEvent.engine_event(
                    self._context, "Stop requested", EngineEventData.interrupted(list(self._threads))
                )
                if not self._cancelled():
                    # The machine shuts down or the worker is replaced: the attempts continue without it, and its
                    # threads, which only wait for them, end with this process.
                    raise DagsterExecutionInterruptedError
                self._interruption.set()
            if self._interruption.is_set():
                if not self._threads:
                    break
            else:
                yield from self._start_steps()
            yield from self._next_events()
        if self._interruption.is_set():
            raise DagsterExecutionInterruptedError
        if self._crashes:
            raise self._crashes[0]

    def _cancelled(self) -> bool:
        run = self._context.instance.get_run_by_id(self._context.run_id)
        return run is not None and run.status in {DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED}

    def _start_steps(self) -> Iterator[DagsterEvent]:
        room = None if self._limit is None else self._limit - len(self._threads)
        for step in self._active.get_steps_to_execute(limit=room):
            step_context = self._context.for_step(step, self._active.get_known_state())
            log_key = compute_log_key(self._context.run_id, step.key)
            yield DagsterEvent.capture_logs(self._context, [step.key], log_key, CapturedLogContext(log_key))
            thread = threading.Thread(target=self._serve, args=(step_context,), name=step.key, daemon=True)
            self._threads[step.key] = thread
            thread.start()
        yield from self._active.concurrency_event_iterator(self._context)
        yield from self._active.plan_events_iterator(self._context)

    def _serve(self, step_context: StepExecutionContext) -> None:
        key = step_context.step.key
        end: BaseException | None = None
        try:
            for event in dagster_event_sequence_for_step(step_context):
                self._events.put((key, event))
        except BaseException as error:  # noqa: BLE001  # carried to the main thread, which raises it
            end = error
        self._events.put((key, end))

    def _next_events(self) -> Iterator[DagsterEvent]:
        if not self._threads and self._active.is_complete:
            return
        try:
            key, event = self._events.get(timeout=POLL_S)
        except queue.Empty:
            return
        if isinstance(event, DagsterEvent):
            yield event
            self._active.handle_event(event)
            return
        self._threads.pop(key).join()
        if event is not None:
            self._crashes.append(event)
        if not self._interruption.is_set():
            self._active.verify_complete(self._context, key)


@executor(
    name="winslow_threads",
    config_schema={
        "max_concurrent": Field(
            Noneable(int),
            default_value=None,
            is_required=False,
            description="Maximum number of concurrent stages of one run; unlimited if not set.",
        )
    },
)
def thread_executor(init: InitExecutorContext) -> Executor:
    """The executor of every pipeline job."""
    limit = init.executor_config.get("max_concurrent")
    return ThreadExecutor(limit if isinstance(limit, int) else None)
