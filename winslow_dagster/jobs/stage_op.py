"""The op of a stage: decides what to do, submits the attempt to the engine, waits, and reports the result to Dagster.

The op does no work itself and may be killed at any line: run again with the same run id and retry number, it makes the
same task id, and the engine returns the existing attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from dagster import OpExecutionContext, Output, RetryRequested

from winslow_dagster.errors import StageFailed, WinslowError
from winslow_dagster.jobs.attempt_monitor import AttemptMonitor
from winslow_dagster.jobs.check_events import check_evaluations
from winslow_dagster.jobs.executor import StepFailure
from winslow_dagster.jobs.materialization import materialization, materialized, result_metadata
from winslow_dagster.jobs.store_wait import wait_for_store
from winslow_dagster.jobs.upstream import upstream_outputs
from winslow_dagster.jobs.worker_resources import WorkerResources
from winslow_dagster.pipelines.model.pipeline import Pipeline, Retries, Stage
from winslow_dagster.projects.domain.run_request import RunRequest
from winslow_dagster.projects.planning.stage_decision import Held, Reused, Skipped, StageCall, Started
from winslow_dagster.stages.task.model import StageResult
from winslow_dagster.storage.manifest import Manifest

OpBody = Callable[..., Iterator[Any]]


def run_stage(pipeline: Pipeline, digest: str, stage: Stage, successors: tuple[str, ...]) -> OpBody:
    """The body of the stage's op."""

    # Not named `context`: Dagster would evaluate that parameter's annotation, which is a string in this module.
    def body(op_context: OpExecutionContext, _inputs: dict[str, Any]) -> Iterator[Any]:
        context = op_context
        resources: WorkerResources = context.resources.winslow
        try:
            request = RunRequest.checked(pipeline, context.op_config)
            call = StageCall(pipeline, digest, stage, request, context.run_id, context.retry_number + 1)
            resources.admission.admit(context, call)
            released = yield from _serve(context, resources, call, successors)
            resources.run_display.show_holds(context)
        except WinslowError as error:
            raise StepFailure(str(error), metadata=_metadata(error), allow_retries=False) from None
        for successor in released:
            yield Output(None, successor)

    return body


def _serve(
    context: OpExecutionContext, resources: WorkerResources, call: StageCall, successors: tuple[str, ...]
) -> Generator[Any, None, tuple[str, ...]]:
    """Yield the events of the stage. Returns the successors that may start."""
    stage = call.stage
    entry = resources.stage_decider.before_stage(call, upstream_outputs(context, resources.records, stage))
    result = None
    match entry:
        case Skipped():
            context.log.info(f"not run: {entry.reason}")
            return ()
        case Held():
            context.log.info(f"not started: {entry.hold.message}")
            return ()
        case Reused():
            context.log.info(f"outputs reused: {entry.reason}")
            manifest = entry.manifest
        case Started():
            result, is_new = _attempt(context, resources, call, entry)
            if result.outcome == "awaiting_input":
                resources.stage_decider.waits_for_person(call, result)
                context.log.warning(f"waiting for input: {result.message}")
                return ()
            if is_new or not materialized(context):
                yield wait_for_store(
                    partial(materialization, resources.settings, call, result),
                    resources.records,
                    context.run_id,
                    context.log.warning,
                )
                yield from check_evaluations(call.pipeline.name, stage.name, call.request.project, result.checks)
            manifest = _outputs(result)
    released = resources.stage_decider.after_stage(call, result, successors)
    resources.records.record_run_output(context.run_id, stage.name, manifest)
    return released


def _attempt(
    context: OpExecutionContext, resources: WorkerResources, call: StageCall, entry: Started
) -> tuple[StageResult, bool]:
    task, retries = entry.task, call.stage.retries
    resources.records.attempt_started(
        task, pipeline_digest=call.digest, fingerprint=entry.fingerprint, reused_from=entry.reused_from
    )
    if entry.taken_over is not None:
        context.log.info(entry.taken_over.message)
        return entry.taken_over, resources.records.attempt_ended(task.task_id, entry.taken_over)
    result = AttemptMonitor(context, resources.engine, task).wait_for_result()
    is_new = resources.records.attempt_ended(task.task_id, result)
    if result.outcome in {"succeeded", "awaiting_input"}:
        return result, is_new
    if retried(retries, result) and context.retry_number < retries.count:
        wait_s = retries.wait_s * retries.backoff**context.retry_number
        context.log.warning(f"{result.message}; retrying in {wait_s:g} s ({result.outcome})")
        # Dagit shows the cause of a retry, and otherwise the stack of the framework.
        cause = StageFailed(result.message)
        raise RetryRequested(max_retries=retries.count, seconds_to_wait=wait_s) from cause
    raise StepFailure(result.message, metadata=result_metadata(call, result), allow_retries=False)


def retried(retries: Retries, result: StageResult) -> bool:
    """Whether the rules retry this outcome. `failed` covers every exit code that is not a success."""
    return result.outcome in retries.when or (result.outcome == "failed" and result.exit_code in retries.when)


def _outputs(result: StageResult) -> Manifest:
    if result.outputs is None:
        raise WinslowError("the attempt succeeded but has no manifest", where=result.task_id)
    return result.outputs


def _metadata(error: WinslowError) -> dict[str, str]:
    return {name: value for name, value in error.problem().items() if isinstance(value, str) and value}
