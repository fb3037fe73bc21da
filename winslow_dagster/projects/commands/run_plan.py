"""Plans a run without starting anything: which stages run, how long that takes, and what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from winslow_dagster.errors import InputRejected, WinslowError
from winslow_dagster.formatting import format_time
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.launch_plan import LaunchPlan, LaunchPlanner
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.commands.project_check import message_of
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.lineage import Lineage, in_order, upstream_of
from winslow_dagster.projects.domain.questions import QuestionContext, confirmations, form_of
from winslow_dagster.projects.domain.run_plan import RunFault, RunPlan, sentence_of
from winslow_dagster.projects.domain.run_request import RunScope, StageOverrides, check_overrides
from winslow_dagster.projects.inputs.permitted_paths import require_permitted
from winslow_dagster.projects.planning.stage_tasks import gpu_of_run
from winslow_dagster.projects.status.estimate import expected_end, typical_durations

Overrides = Mapping[str, Mapping[str, Any]]


def plan_run(context: Context, request: LaunchRequest) -> RunPlan:
    """What a run of the request would do. Raises what starting it raises, except while another run is in progress."""
    return _plan(context, request, [request])


def plan_sweep(
    context: Context, request: LaunchRequest, combinations: Sequence[Overrides], max_concurrent: int | None
) -> RunPlan:
    """What a sweep would do. Of the combinations, only so many are checked that each value is."""
    found = _plan(context, request, [replace(request, overrides=each) for each in _each_value(combinations)])
    planned = found.model_copy(update={"runs": len(combinations), "max_concurrent": max_concurrent})
    return planned.model_copy(update={"text": sentence_of(planned)})


def _each_value(combinations: Sequence[Overrides]) -> list[Overrides]:
    seen: set[tuple[str, str, str]] = set()
    chosen = []
    for combination in combinations:
        values = {
            (stage, name, str(value))
            for stage, changed in combination.items()
            for name, value in changed.get("env", {}).items()
        }
        if not values <= seen:
            seen |= values
            chosen.append(combination)
    return chosen


def _plan(context: Context, request: LaunchRequest, variants: Sequence[LaunchRequest]) -> RunPlan:
    require_permitted(context.actor, context.settings, request.inputs)
    plan: LaunchPlan | None = None
    for variant in variants:
        plan = LaunchPlanner(context, variant).plan()
    if plan is None or plan.existing is None:
        raise InputRejected("there is no project to plan a run of", where=f"project {request.project}")
    lineage = lineage_of(context.records, plan.existing.name, plan.pipeline)
    scope = RunScope(plan.pipeline, plan.request)
    running = scope.running(lineage.current)
    stages = tuple(stage.name for stage in in_order(plan.pipeline) if stage.name in running)
    outdated = _outdated_afterwards(lineage, plan, running)
    typical_s = typical_durations(context.records.database, plan.pipeline.name, stages)
    now = context.clock()
    end = expected_end(plan.pipeline, {}, stages, typical_s, now)
    attempted = {attempt.stage for attempt in lineage.attempts}
    wanted = [gpu for name in stages if (gpu := _gpu_of(plan, name)) is not None]
    found = RunPlan(
        project=request.project,
        pipeline=plan.pipeline.name,
        stages=stages,
        kept=tuple(
            stage.name
            for stage in in_order(plan.pipeline)
            if stage.name in lineage.current and stage.name not in running and stage.name not in outdated
        ),
        outdated=outdated,
        questions=_questions(context, lineage, plan, running),
        estimated_s=None if end is None else (end - now).total_seconds(),
        gpus=max((gpu.count for gpu in wanted if not gpu.optional), default=0),
        optional_gpus=max((gpu.count for gpu in wanted if gpu.optional), default=0),
        again=bool(attempted & set(stages)),
        busy=_busy(context, request.project),
    )
    return found.model_copy(update={"text": sentence_of(found)})


def _outdated_afterwards(lineage: Lineage, plan: LaunchPlan, running: frozenset[str]) -> tuple[str, ...]:
    """The stages that have outputs and do not run, though something that they read changes."""
    chosen = {
        stage
        for stage, task_id in plan.request.use.items()
        if stage in lineage.current and lineage.current[stage].task_id != task_id
    }
    return tuple(
        name
        for name in (stage.name for stage in in_order(plan.pipeline))
        if name in lineage.current
        and name not in running
        and (name in lineage.outdated or upstream_of(plan.pipeline, name) & (running | chosen))
        and name not in chosen
    )


def _gpu_of(plan: LaunchPlan, stage: str) -> Gpu | None:
    changed = plan.request.stages.get(stage, StageOverrides()).gpu
    return gpu_of_run(plan.pipeline.stage(stage).gpu, changed)


def _questions(context: Context, lineage: Lineage, plan: LaunchPlan, running: frozenset[str]) -> tuple[str, ...]:
    """The stages of the run that ask before they start, by rules of the file and by what is known now."""
    assert plan.existing is not None  # noqa: S101  # a plan of an existing project
    project, pipeline = plan.existing, plan.pipeline
    given = StoredVariables(context.records.database).of(pipeline.name)
    asked = QuestionContext(
        project.name,
        lineage,
        Answers(context.records.database).of_project(project.name),
        context.records.result,
        layers={stage.name: (given, pipeline.env, stage.env, project.env) for stage in pipeline.stages},
    )
    found = []
    for stage in in_order(pipeline):
        if stage.name not in running:
            continue
        rule = stage.needs_input
        # Outputs that are made again have not been reviewed yet.
        reviews = set(confirmations(stage, form_of(rule)).values()) if rule is not None else set[str]()
        if asked.question(stage) is not None or reviews & running:
            found.append(stage.name)
    return tuple(found)


def _busy(context: Context, project: str) -> str:
    run = next(iter(context.records.open_runs(project)), None)
    return (
        "" if run is None else f"a run is in progress, started by {run.requested_by} at {format_time(run.launched_at)}"
    )


def faults_of_settings(stage: str, override: Mapping[str, Any]) -> tuple[RunFault, ...]:
    """What is wrong with each setting of a stage by itself: `set.memory`, `env.THRESHOLD`."""
    parts = {f"set.{name}": {name: value} for name, value in override.items() if name != "env"}
    parts |= {f"env.{name}": {"env": {name: value}} for name, value in override.get("env", {}).items()}
    found = []
    for field, part in parts.items():
        try:
            check_overrides(stage, StageOverrides.model_validate(part))
        except ValidationError as error:
            text = "; ".join(each["msg"] for each in error.errors(include_url=False))
            found.append(RunFault(field=field, message=text))
        except WinslowError as error:
            found.append(RunFault(field=field, message=message_of(error)))
    return tuple(found)
