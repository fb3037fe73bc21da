"""One attempt in full: what it ran with, and what its runner reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from winslow_dagster.pipelines import Layer, Pipeline, SecretReference
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.comparison.parameters import filled_in
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.domain.model import Attempt, Project
from winslow_dagster.projects.domain.run_request import RunRequest
from winslow_dagster.projects.domain.views import (
    AttemptDetails,
    HistoryLine,
    ReadTree,
    StageSettings,
    Variable,
    VariableOrigin,
)
from winslow_dagster.projects.planning.stage_tasks import StageInRun, unchecked_task
from winslow_dagster.stages.task.model import LogSummary, StageTask
from winslow_dagster.storage.manifest import Manifest

ORIGINS: tuple[VariableOrigin, ...] = get_args(VariableOrigin)


def settings_of_attempt(context: Context, attempt: Attempt) -> StageSettings:
    """What an attempt ran with."""
    task = context.records.task(attempt.task_id)
    if task is None:
        raise RuntimeError(f"{attempt.task_id} has no task")
    return _settings(task).model_copy(
        update={"task_id": attempt.task_id, "image_digest": attempt.image_digest, "mode": attempt.mode}
    )


def settings_of_stage(context: Context, project: Project, pipeline: Pipeline, stage: Stage) -> StageSettings:
    """What a stage would run with, as far as that is known before its inputs are: also what was answered for it."""
    answers = Answers(context.records.database).of_project(project.name)
    own = [each for each in answers if (each.pipeline, each.stage) == (pipeline.name, stage.name) and each.accepted]
    part = StageInRun(
        pipeline=pipeline,
        digest=project.pipeline_digest,
        stage=stage,
        project=project,
        request=RunRequest(project=project.name),
        run_id="",
        attempt=1,
        global_env=StoredVariables(context.records.database).of(pipeline.name),
    )
    task = unchecked_task(context.settings, part, {}, own[-1] if own else None)
    return _settings(task).model_copy(update={"mode": None})


def details_of_attempt(context: Context, line: HistoryLine) -> AttemptDetails:
    """The attempt of a line of the history, with what its runner reports while it runs."""
    result = context.records.result(line.task_id)
    if result is None:
        status = context.engine.status(line.task_id).status
        if status is None:
            return AttemptDetails(line=line)
        return AttemptDetails.model_validate({"line": line, "gpus": status.gpus, **_log_facts(status.log)})
    outputs = result.outputs
    return AttemptDetails.model_validate(
        {
            "line": line,
            "exit_code": result.exit_code,
            "peak_memory_bytes": result.peak_memory_bytes,
            "gpus": result.gpus,
            "unenforced": result.unenforced,
            "checks": result.checks,
            "output_files": len(outputs.files) if outputs else 0,
            "output_bytes": outputs.size_bytes if outputs else 0,
            **_log_facts(result.log),
        }
    )


def _log_facts(log: LogSummary) -> dict[str, object]:
    names = ("results", "progress", "warning_count", "error_count", "errors", "warnings")
    return {name: getattr(log, name) for name in names}


def _settings(task: StageTask) -> StageSettings:
    seen, words, note = filled_in(task)
    return StageSettings(
        stage=task.stage,
        task_id=None,
        variables=variables_by_origin(task.env_layers, seen),
        command=words["command"],
        args=words["args"],
        image=task.image,
        image_digest=None,
        mode=task.mode,
        cpus=task.cpus,
        memory_bytes=task.memory_bytes,
        shm_size_bytes=task.shm_size_bytes,
        gpu=task.gpu,
        node_tags=task.node_tags,
        network=task.network,
        timeout_s=task.timeout_s,
        stop_grace_period_s=task.stop_grace_period_s,
        inputs=_trees(task.inputs),
        resources=_trees(task.resources),
        note=note,
    )


def variables_by_origin(layers: Sequence[Layer], seen: Mapping[str, str]) -> tuple[Variable, ...]:
    """Every variable of the layers, in order, with the layer that decides its value. `seen` are the final values."""
    found = []
    for name in sorted({name for layer in layers for name in layer}):
        written = [(origin, layer[name]) for origin, layer in zip(ORIGINS, layers, strict=True) if name in layer]
        *lower, (origin, value) = written
        secret = isinstance(value, SecretReference)
        found.append(
            Variable(
                name=name,
                value="" if secret else seen.get(name, str(value)),
                template=str(value),
                origin=origin,
                secret=secret,
                overrides=tuple((each, str(template)) for each, template in lower),
            )
        )
    return tuple(found)


def _trees(manifests: Mapping[str, Manifest]) -> tuple[ReadTree, ...]:
    return tuple(
        ReadTree(name=name, files=len(tree.files), size_bytes=tree.size_bytes) for name, tree in manifests.items()
    )
