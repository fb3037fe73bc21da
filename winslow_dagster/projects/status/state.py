"""The state of a project, derived from its history. It is not stored anywhere, so that it cannot be out of date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from winslow_dagster.engines.engine import TaskState, explanation
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.projects.dagster_api.run_completion import UNRECORDED
from winslow_dagster.projects.domain.lineage import Lineage
from winslow_dagster.projects.domain.model import Attempt, RunOutcome, RunRecord
from winslow_dagster.projects.domain.views import OVER, NextAction, ProjectState, StageState, StageView
from winslow_dagster.stages.task.model import Outcome, StageResult

_STATES: dict[Outcome, StageState] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "failed",
    "out_of_memory": "failed",
    "lost": "failed",
    "cancelled": "cancelled",
    "awaiting_input": "awaiting_input",
}
_NEXT: dict[ProjectState, tuple[NextAction, ...]] = {
    "idle": ("run",),
    "queued": ("pause", "cancel"),
    "running": ("pause", "cancel"),
    "pausing": ("resume", "cancel"),
    "paused": ("resume", "redo"),
    "failed": ("resume", "redo"),
    "cancelled": ("resume", "redo"),
    "succeeded": ("redo", "sweep"),
}
NEVER_RUN: tuple[ProjectState, str] = ("idle", "not run yet")
NO_SERVICES = "the services are not running"
NO_RECORD = "Dagster has no record of the run"


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """What the states of stages are derived from, with functions for details of an attempt."""

    lineage: Lineage
    result_of: Callable[[str], StageResult | None]
    task_state_of: Callable[[str], TaskState]


def stage_views(snapshot: StageSnapshot, *, active: bool) -> tuple[StageView, ...]:
    """Every stage of the pipeline, in its order. `active`: a run is in progress that may still start stages."""
    lineage = snapshot.lineage
    latest = {attempt.stage: attempt for attempt in lineage.attempts}
    counts = Counter(attempt.stage for attempt in lineage.attempts)
    views = []
    for stage in lineage.pipeline.stages:
        if stage.name not in latest:
            reason = _why_not_started(stage, lineage.current, active=active)
            views.append(StageView(stage=stage.name, state="waiting" if active else "pending", reason=reason))
            continue
        view = _with_attempt(snapshot, latest[stage.name], lineage.outdated.get(stage.name, ""))
        in_use = lineage.current.get(stage.name)
        numbers = {"attempts": counts[stage.name], "in_use": in_use.task_id if in_use else None}
        views.append(view.model_copy(update=numbers))
    return tuple(views)


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The runs that decide a project's state: the latest, or all of its sweep. Empty if it was never run.

    `statuses` are Dagster's statuses of open runs, none if it was not asked; `queue_reasons` say why queued runs wait,
    `pause` who paused the open run. `answered`: all questions of the run have an answer; `picked`: an attempt of the
    sweep was picked.
    """

    runs: tuple[RunRecord, ...]
    statuses: Mapping[str, str] = field(default_factory=dict)
    queue_reasons: Mapping[str, str] = field(default_factory=dict)
    pause: str = ""
    answered: bool = False
    picked: bool = False

    @property
    def open(self) -> tuple[RunRecord, ...]:
        """The runs that have not ended."""
        return tuple(run for run in self.runs if run.ended_at is None)


def project_state(snapshot: RunSnapshot, running: Iterable[str] = (), unfinished: str = "") -> tuple[ProjectState, str]:
    """The project's state and its reason. `running` are stages; `unfinished` says which stages are not up to date."""
    if not snapshot.runs:
        return NEVER_RUN
    if snapshot.runs[0].sweep is not None:
        return _sweep(snapshot)
    run = snapshot.runs[0]
    if run.ended_at is None:
        return _active(run, snapshot, tuple(running))
    if run.outcome == "succeeded":
        return "succeeded", unfinished
    return after_run(run.outcome, run.outcome_reason, answered=snapshot.answered)


def _active(run: RunRecord, snapshot: RunSnapshot, running: tuple[str, ...]) -> tuple[ProjectState, str]:
    status = snapshot.statuses.get(run.run_id)
    if status is None or status == UNRECORDED:
        return ("running" if running else "interrupted"), NO_SERVICES if status is None else NO_RECORD
    if status == "CANCELING":
        return "cancelling", "its stages are being cancelled"
    if snapshot.pause:
        verb = "is" if len(running) == 1 else "are"
        progress = f"{' and '.join(running)} {verb} still running" if running else "no stage is running"
        return "pausing", f"{snapshot.pause}; {progress}"
    if status == "STARTED":
        return "running", run.waits_for or ""
    if status == "STARTING":
        return "queued", "its worker is starting"
    return "queued", snapshot.queue_reasons.get(run.run_id, "waiting in the queue")


def after_run(outcome: RunOutcome | None, reason: str, *, answered: bool) -> tuple[ProjectState, str]:
    """The state of a project after a run that ended like this."""
    if outcome == "awaiting_input" and answered:
        return "paused", "its question was settled; ready to resume"
    if outcome is None or outcome == "failed":
        return "failed", reason or "the run failed"
    return outcome, reason


def _sweep(snapshot: RunSnapshot) -> tuple[ProjectState, str]:
    """A sweep is running until all of its runs have ended. Then somebody picks an attempt."""
    all_runs, left = len(snapshot.runs), len(snapshot.open)
    good = sum(run.outcome == "succeeded" for run in snapshot.runs)
    progress = f"{all_runs - left} of {all_runs} combinations have ended"
    if left:
        statuses = {snapshot.statuses.get(run.run_id) for run in snapshot.open}
        if statuses <= {None, UNRECORDED}:
            return "interrupted", NO_SERVICES if None in statuses else NO_RECORD
        return ("running" if "STARTED" in statuses else "queued"), progress
    stage = snapshot.runs[0].start_from or "the stage"
    last = min(snapshot.runs, key=lambda run: (-run.launched_at.timestamp(), run.run_id))
    state = sweep_state(picked=snapshot.picked, succeeded=good > 0, last=last.outcome)
    if snapshot.picked:
        return state, f"an attempt of {stage} was picked; ready to resume"
    if not good:
        return state, f"no combination succeeded; {last.outcome_reason}"
    unsuccessful = f"; {all_runs - good} of {all_runs} combinations did not succeed" if good < all_runs else ""
    return state, f"pick one of {good} attempts of {stage}{unsuccessful}"


def sweep_state(*, picked: bool, succeeded: bool, last: RunOutcome | None) -> ProjectState:
    """The state of a project after a sweep: whether an attempt was picked, a run succeeded, how the last run ended."""
    if picked:
        return "paused"
    if succeeded:
        return "awaiting_input"
    return "cancelled" if last == "cancelled" else "failed"


def next_actions(
    state: ProjectState, *, sweep: bool, left: bool, asked: bool = False, held: bool = False
) -> tuple[NextAction, ...]:
    """What a person can do with a project in this state, most likely first. `held`: a pause has held back a stage."""
    if state == "awaiting_input":
        return ("pick", "redo") if sweep else ("answer", "redo")
    if sweep and state in {"queued", "running"}:
        return ("cancel",)
    if held and state == "pausing":
        return ("cancel",)
    if asked and state in OVER:
        return ("answer", *(action for action in _NEXT.get(state, ()) if action != "resume"))
    if state == "succeeded" and left:
        return ("resume", *_NEXT["succeeded"])
    return _NEXT.get(state, ())


def _why_not_started(stage: Stage, succeeded: Mapping[str, Attempt], *, active: bool) -> str:
    if not active:
        return "has not run"
    missing = [upstream for upstream in stage.after if upstream not in succeeded]
    return f"waiting for {' and '.join(missing)}" if missing else "about to start"


def _with_attempt(snapshot: StageSnapshot, attempt: Attempt, outdated: str) -> StageView:
    common = {
        "stage": attempt.stage,
        "attempt": attempt.attempt,
        "task_id": attempt.task_id,
        "run_id": attempt.run_id,
        "started_at": attempt.started_at,
    }
    result = snapshot.result_of(attempt.task_id)
    task = TaskState(known=True, result=result) if result is not None else snapshot.task_state_of(attempt.task_id)
    if task.result is not None:
        return _ended(common, task.result, outdated)
    status = task.status
    view = StageView.model_validate(
        {
            **common,
            "state": "running" if task.running else "waiting",
            "reason": explanation(task),
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
            "gpus": status.gpus,
            "progress": status.log.progress,
            "warning_count": status.log.warning_count,
            "error_count": status.log.error_count,
            "results": status.log.results,
        }
    )


def state_of_ended(outcome: Outcome) -> StageState:
    """The state of a stage whose latest attempt ended like this."""
    return _STATES[outcome]


def _ended(common: Mapping[str, object], result: StageResult, outdated: str) -> StageView:
    state = state_of_ended(result.outcome)
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
            "gpus": result.gpus,
            # What has ended has no time left.
            "progress": tuple(each.model_copy(update={"remaining_s": None}) for each in result.log.progress),
            "warning_count": result.log.warning_count,
            "error_count": result.log.error_count,
            "results": result.log.results,
            "output_files": len(result.outputs.files) if result.outputs else 0,
            "output_bytes": result.outputs.size_bytes if result.outputs else 0,
        }
    )
