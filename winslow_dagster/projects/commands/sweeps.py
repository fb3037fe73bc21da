"""The sweeps of a project, with the attempts that they made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from winslow_dagster.errors import NotFound
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.holds import Holds
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.attempts import numbers_of
from winslow_dagster.projects.domain.lineage import goes_out_of_date
from winslow_dagster.projects.domain.model import Attempt, RunRecord
from winslow_dagster.projects.domain.sweeps import Sweep, SweepRun, SweepSummary
from winslow_dagster.projects.domain.views import StageState
from winslow_dagster.projects.status.state import state_of_ended

LATEST = "latest"


def sweeps_of(context: Context, project: str) -> tuple[SweepSummary, ...]:
    """All sweeps of the project, the latest first."""
    picked = {pick.task_id for pick in Holds(context.records.database).picks(project)}
    attempts = context.records.attempts(project)
    found: dict[str, list[RunRecord]] = {}
    for run in _swept(context, project):
        found.setdefault(str(run.sweep), []).append(run)
    return tuple(SweepSummary(**_summary(runs, attempts, picked)) for runs in found.values())


def sweep_of(context: Context, project: str, sweep: str = LATEST) -> Sweep:
    """One sweep with its runs, or the latest. Raises NotFound."""
    runs = list(_swept(context, project))
    wanted = runs[0].sweep if runs and sweep == LATEST else sweep
    runs = [run for run in runs if run.sweep == wanted]
    if not runs:
        what = "there was no sweep yet" if sweep == LATEST else f"there is no sweep {sweep}"
        raise NotFound(what, where=f"project {project}", remedy="Start one with the redo of a stage")
    attempts = context.records.attempts(project)
    picked = {pick.task_id for pick in Holds(context.records.database).picks(project)}
    summary = _summary(runs, attempts, picked)
    stage = str(summary["stage"])
    pipeline = context.resources.pipeline_version(runs[0].pipeline, runs[0].pipeline_digest)
    lineage = lineage_of(context.records, project, pipeline)
    current = lineage.current.get(stage)
    rows = _runs(context, stage, runs, attempts)
    names = sorted({name for row in rows for name in row.values})
    differing = tuple(name for name in names if len({row.values.get(name) for row in rows}) > 1)
    return Sweep(
        **summary,
        runs=rows,
        variables=differing or tuple(names),
        in_use=None if current is None else current.task_id,
        goes_out_of_date=goes_out_of_date(lineage, stage),
    )


def _swept(context: Context, project: str) -> tuple[RunRecord, ...]:
    """The runs of all sweeps, the latest first."""
    runs = [run for run in context.records.runs(project) if run.sweep is not None]
    return context.status_reader.with_ends(runs)


def _summary(runs: Sequence[RunRecord], attempts: Sequence[Attempt], picked: set[str]) -> dict[str, Any]:
    ids = {run.run_id for run in runs}
    chosen = [each.task_id for each in attempts if each.run_id in ids and each.task_id in picked]
    return {
        "sweep": runs[0].sweep,
        "pipeline": runs[0].pipeline,
        "stage": runs[0].start_from or "",
        "launched_at": min(run.launched_at for run in runs),
        "requested_by": runs[0].requested_by,
        "reason": runs[0].reason,
        "total": len(runs),
        "ended": sum(run.ended_at is not None for run in runs),
        "succeeded": sum(run.outcome == "succeeded" for run in runs),
        "picked": chosen[-1] if chosen else None,
    }


def _runs(context: Context, stage: str, runs: Sequence[RunRecord], attempts: Sequence[Attempt]) -> tuple[SweepRun, ...]:
    numbers = numbers_of(attempts)
    ids = {run.run_id for run in runs}
    latest = {each.run_id: each for each in attempts if each.stage == stage and each.run_id in ids}
    results = context.records.log_results(each.task_id for each in latest.values())
    found = []
    for run in sorted(runs, key=lambda each: each.launched_at):
        attempt = latest.get(run.run_id)
        env = run.settings.get("stages", {}).get(stage, {}).get("env", {})
        values = {name: value for name, value in env.items() if isinstance(value, str)}
        if attempt is None:
            state: StageState = "waiting" if run.ended_at is None else "cancelled"
            found.append(SweepRun(run_id=run.run_id, state=state, message=run.outcome_reason, values=values))
            continue
        ended = attempt.ended_at
        found.append(
            SweepRun(
                run_id=run.run_id,
                state="running" if attempt.outcome is None else state_of_ended(attempt.outcome),
                message=attempt.message,
                values=values,
                number=numbers[attempt.task_id],
                task_id=attempt.task_id,
                started_at=attempt.started_at,
                duration_s=None if ended is None else (ended - attempt.started_at).total_seconds(),
                results=results.get(attempt.task_id, {}),
                pickable=attempt.usable,
            )
        )
    return tuple(found)
