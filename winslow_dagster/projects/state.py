"""The state of a project, derived from what happened: nothing here is stored, so nothing can be out of step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from winslow_dagster.engines.engine import TaskState
from winslow_dagster.pipelines.model import Pipeline, Stage
from winslow_dagster.projects.dagit import DagsterRun
from winslow_dagster.projects.results import ProjectState, StageState, StageView
from winslow_dagster.projects.values import Attempt
from winslow_dagster.stages.task import Outcome, StageResult

_STATES: dict[Outcome, StageState] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "failed",
    "out_of_memory": "failed",
    "lost": "failed",
    "cancelled": "cancelled",
    "await_input": "awaiting_input",
}
NO_SERVICES = "the services do not run; `winslow up` starts them"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a state is read from: the attempts of one pipeline, and ways to ask for an attempt's result and its life."""

    pipeline: Pipeline
    attempts: tuple[Attempt, ...]
    result_of: Callable[[str], StageResult | None]
    life_of: Callable[[str], TaskState]
    why_waiting: Callable[[str], str]


def stage_views(sight: Sight, run: DagsterRun | None) -> tuple[StageView, ...]:
    """Every stage of the pipeline, in its order. `run` is the project's latest; None where nobody can say."""
    active = run is not None and not run.ended
    latest: dict[str, Attempt] = {attempt.stage: attempt for attempt in sight.attempts}
    succeeded = {attempt.stage: attempt for attempt in sight.attempts if attempt.outcome == "succeeded"}
    outdated = outdated_stages(sight.pipeline, sight.attempts)
    return tuple(
        _with_attempt(sight, latest[stage.name], outdated.get(stage.name, ""))
        if stage.name in latest
        else StageView(
            stage=stage.name,
            state="waiting" if active else "pending",
            reason=_why_not_begun(stage, succeeded, active=active),
        )
        for stage in sight.pipeline.stages
    )


def outdated_stages(pipeline: Pipeline, attempts: Iterable[Attempt]) -> dict[str, str]:
    """Stage -> why its outputs no longer fit what comes before it: an earlier stage has run again since."""
    fresh: dict[str, Attempt] = {}
    for attempt in attempts:
        if attempt.outcome in {"succeeded", None}:
            fresh[attempt.stage] = attempt
    why: dict[str, str] = {}
    for stage in in_order(pipeline):
        own = fresh.get(stage.name)
        if own is None or own.outcome is None:
            continue
        for upstream in stage.after:
            other = fresh.get(upstream)
            if upstream in why:
                why[stage.name] = f"{upstream} is out of date"
            elif other is not None and other.started_at > own.started_at:
                why[stage.name] = f"{upstream} {'has run' if other.outcome else 'runs'} again since"
    return why


def in_order(pipeline: Pipeline) -> tuple[Stage, ...]:
    """The stages, each after those it needs; in file order otherwise."""
    ordered: dict[str, Stage] = {}
    while len(ordered) < len(pipeline.stages):
        ready = [
            stage
            for stage in pipeline.stages
            if stage.name not in ordered and all(upstream in ordered for upstream in stage.after)
        ]
        ordered.update({stage.name: stage for stage in ready})
    return tuple(ordered.values())


def first_to_run(pipeline: Pipeline, attempts: Iterable[Attempt]) -> str | None:
    """The first stage whose outputs are missing or out of date; None where all are there and fit."""
    attempts = tuple(attempts)
    succeeded = {attempt.stage for attempt in attempts if attempt.outcome == "succeeded"}
    outdated = outdated_stages(pipeline, attempts)
    return next(
        (stage.name for stage in in_order(pipeline) if stage.name not in succeeded or stage.name in outdated), None
    )


def project_state(
    views: tuple[StageView, ...], run: DagsterRun | None, why: Mapping[str, str]
) -> tuple[ProjectState, str]:
    """The project's state and its reason. `why` has the reasons only others know: `queued`, `failed`, `unknown`."""
    if run is None:
        return _unseen(views, why)
    return _over(views, run, why) if run.ended else _active(run, why)


def _unseen(views: tuple[StageView, ...], why: Mapping[str, str]) -> tuple[ProjectState, str]:
    """There is no run, or nobody can say how it stands: the stages tell."""
    states = {view.state for view in views}
    if states & {"running", "waiting"}:
        return "running" if "running" in states else "interrupted", why.get("unknown", NO_SERVICES)
    if states == {"pending"}:
        return ("interrupted", why["unknown"]) if "unknown" in why else ("idle", "it has not been run yet")
    return _unsuccessful(views) or ("succeeded", _rest(views))


def _over(views: tuple[StageView, ...], run: DagsterRun, why: Mapping[str, str]) -> tuple[ProjectState, str]:
    if run.status == "SUCCESS":
        return "succeeded", _rest(views)
    stage = _unsuccessful(view for view in views if view.run_id == run.run_id)
    if run.status == "CANCELED":
        return "cancelled", stage[1] if stage else "the run was cancelled"
    return stage or ("failed", why.get("failed", "the run failed"))


def _unsuccessful(views: Iterable[StageView]) -> tuple[ProjectState, str] | None:
    """The way the stages ended, where one of them did not succeed; what a person can act on comes first."""
    ended = {view.state: f"{view.stage}: {view.reason}" for view in views}
    states: tuple[Literal["awaiting_input", "failed", "cancelled"], ...] = ("awaiting_input", "failed", "cancelled")
    return next(((state, ended[state]) for state in states if state in ended), None)


def _active(run: DagsterRun, why: Mapping[str, str]) -> tuple[ProjectState, str]:
    if run.status == "STARTED":
        return "running", ""
    if run.status == "CANCELING":
        return "cancelling", "its stages are being ended"
    if run.status == "STARTING":
        return "queued", "its worker is starting"
    return "queued", why.get("queued", "waits in the queue")


def _rest(views: tuple[StageView, ...]) -> str:
    """What is left to do after a run that ended well."""
    left = [view.stage for view in views if view.state != "succeeded" or view.outdated]
    return f"{', '.join(left)} {'has' if len(left) == 1 else 'have'} yet to run" if left else ""


def _why_not_begun(stage: Stage, succeeded: Mapping[str, Attempt], *, active: bool) -> str:
    if not active:
        return "has not run"
    missing = [upstream for upstream in stage.after if upstream not in succeeded]
    return f"waits for {' and '.join(missing)}" if missing else "is about to start"


def _with_attempt(sight: Sight, attempt: Attempt, outdated: str) -> StageView:
    common = {
        "stage": attempt.stage,
        "attempt": attempt.attempt,
        "task_id": attempt.task_id,
        "run_id": attempt.run_id,
        "started_at": attempt.started_at,
    }
    result = sight.result_of(attempt.task_id)
    life = TaskState(known=True, result=result) if result is not None else sight.life_of(attempt.task_id)
    if life.result is not None:
        return _ended(common, life.result, outdated)
    status = life.status
    running = life.runner_alive and status is not None and status.phase in {"running", "storing"}
    view = StageView.model_validate(
        {
            **common,
            "state": "running" if running else "waiting",
            "reason": "" if running else sight.why_waiting(attempt.task_id),
            "outdated": outdated,
        }
    )
    if status is None:
        return view
    began = status.started_at or attempt.started_at
    return view.model_copy(
        update={
            "started_at": began,
            "duration_s": (datetime.now(UTC) - began).total_seconds(),
            "node": status.node,
            "mode": status.mode,
            "progress": status.log.progress,
            "warning_count": status.log.warning_count,
            "error_count": status.log.error_count,
            "results": status.log.results,
        }
    )


def _ended(common: Mapping[str, object], result: StageResult, outdated: str) -> StageView:
    state = _STATES[result.outcome]
    return StageView.model_validate(
        {
            **common,
            "state": state,
            "reason": "" if state == "succeeded" else result.message,
            "outdated": outdated,
            "started_at": result.started_at,
            "ended_at": result.ended_at,
            "duration_s": result.duration_s,
            "node": result.node,
            "mode": result.mode,
            "progress": result.log.progress,
            "warning_count": result.log.warning_count,
            "error_count": result.log.error_count,
            "results": result.log.results,
            "output_files": len(result.outputs.files) if result.outputs else 0,
            "output_bytes": result.outputs.size_bytes if result.outputs else 0,
        }
    )
