"""What a person may set for a stage when it runs again: every variable, argument and limit, with what it was."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.formatting import count_of
from winslow_dagster.pipelines import Pipeline, SecretReference
from winslow_dagster.pipelines.config_file import read_content
from winslow_dagster.pipelines.model.pipeline import Stage
from winslow_dagster.pipelines.units import written_duration, written_size
from winslow_dagster.pipelines.variable_comments import variable_comments
from winslow_dagster.projects.commands.attempt_details import settings_of_attempt, settings_of_stage
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.attempts import find_attempt, numbers_of
from winslow_dagster.projects.domain.lineage import Lineage, in_order, upstream_of
from winslow_dagster.projects.domain.model import Attempt, Project
from winslow_dagster.projects.domain.run_plan import (
    CandidateOutputs,
    InputParameter,
    Parameter,
    SettableStage,
    Setting,
    StageParameters,
    choices_of,
    kind_of,
    unit_of,
)
from winslow_dagster.projects.domain.views import StageSettings, Variable
from winslow_dagster.projects.planning.stage_tasks import ANSWER_VARIABLES
from winslow_dagster.storage.manifest import Manifest

RUN_LAYERS = 2
"""The last layers of variables are those of the run and of its settings for the stage."""


def parameters_of(
    context: Context, project: Project, pipeline: Pipeline, stage: Stage, which: str | int | None
) -> StageParameters:
    """The parameters of the stage, beside those of its latest attempt or the one that is named. Raises NotFound."""
    lineage = lineage_of(context.records, project.name, pipeline)
    all_attempts = context.records.attempts(project.name)
    latest = {each.stage: each for each in lineage.attempts}
    last = latest.get(stage.name) if which is None else find_attempt(all_attempts, stage.name, which)
    numbers = numbers_of(all_attempts)
    following = [each for each in in_order(pipeline) if stage.name in upstream_of(pipeline, each.name)]
    comments = _comments(context, project, pipeline.name)

    def settable(of: Stage, attempt: Attempt | None) -> SettableStage:
        defaults = settings_of_stage(context, project, pipeline, of)
        about = {name: text for place in ("", of.name) for (owner, name), text in comments.items() if owner == place}
        return SettableStage(
            stage=of.name,
            attempt=None if attempt is None else numbers[attempt.task_id],
            variables=_variables(context, defaults, attempt, about),
            settings=_settings(of, attempt, {} if attempt is None else _settings_of_run(context, attempt, of.name)),
        )

    own = settable(stage, last)
    return StageParameters(
        project=project.name,
        pipeline=pipeline.name,
        stage=own.stage,
        attempt=own.attempt,
        variables=own.variables,
        settings=own.settings,
        inputs=tuple(_inputs(context, project, pipeline, last)),
        candidates=_candidates(lineage, stage, numbers),
        # What a stage that follows has now was set for its current outputs: with that it runs again.
        following=tuple(settable(each, lineage.current.get(each.name) or latest.get(each.name)) for each in following),
        later={
            last_stage.name: tuple(
                each.name
                for each in following
                if each is last_stage or each.name in upstream_of(pipeline, last_stage.name)
            )
            for last_stage in following
        },
    )


def _comments(context: Context, project: Project, pipeline: str) -> dict[tuple[str, str], str]:
    """Stage (empty for all stages) and variable -> what the version of the pipeline file says about it."""
    digest = next((each.digest for each in context.used_pipelines(project) if each.name == pipeline), "")
    path = context.settings.versions_dir / pipeline / f"{digest}.yaml"
    try:
        return variable_comments(read_content(path))
    except PipelineInvalid:
        return {}


def _variables(
    context: Context, defaults: StageSettings, attempt: Attempt | None, comments: Mapping[str, str]
) -> tuple[Parameter, ...]:
    default = {each.name: each for each in defaults.variables}
    last = {} if attempt is None else {each.name: each for each in settings_of_attempt(context, attempt).variables}
    secrets = {} if attempt is None else _secrets_of_run(context, attempt)
    found = (
        _parameter(name, default.get(name), last.get(name), comments.get(name, ""), ran=attempt is not None)
        for name in dict.fromkeys([*default, *last])
        if name not in ANSWER_VARIABLES
    )
    return tuple(
        each.model_copy(update={"last_secret": secrets[each.name]})
        if each.name in secrets and each.set_by_run
        else each
        for each in found
    )


def _secrets_of_run(context: Context, attempt: Attempt) -> dict[str, str]:
    """Variable -> the stored secret that the run of the attempt set it to."""
    task = context.records.task(attempt.task_id)
    layers = () if task is None else task.env_layers[-RUN_LAYERS:]
    return {
        name: value.secret for layer in layers for name, value in layer.items() if isinstance(value, SecretReference)
    }


def _parameter(name: str, default: Variable | None, last: Variable | None, comment: str, *, ran: bool) -> Parameter:
    secret = any(each is not None and each.secret for each in (default, last))
    written = "" if default is None else default.template
    shown = last if last is not None and not secret else None
    return Parameter(
        name=name,
        kind="text" if secret else kind_of(written, shown.template if shown else None),
        unit=unit_of(name),
        choices=() if secret else choices_of(comment, written),
        description=comment,
        default=written,
        origin=default.origin if default is not None else "settings",
        last=shown.template if shown else ("" if ran and not secret else None),
        last_origin=None if last is None else last.origin,
        secret=secret,
    )


def _settings_of_run(context: Context, attempt: Attempt, stage: str) -> dict[str, Any]:
    run = context.records.run(attempt.run_id)
    found: dict[str, Any] = dict(run.settings.get("stages", {}).get(stage, {})) if run is not None else {}
    return found


def _settings(stage: Stage, last: Attempt | None, changed: Mapping[str, Any]) -> tuple[Setting, ...]:
    own = {
        "args": shlex.join(stage.args),
        "image": stage.image or "",
        "cpus": f"{stage.cpus:g}",
        "memory": "" if stage.memory_bytes is None else written_size(stage.memory_bytes),
        "timeout": "" if stage.timeout_s is None else written_duration(stage.timeout_s),
        "gpu": "0" if stage.gpu is None else str(stage.gpu.count),
    }
    return tuple(
        Setting(
            name=name,
            default=default,
            last=None if last is None else _text(name, changed[name]) if name in changed else default,
            set_by_run=name in changed,
        )
        for name, default in own.items()
    )


def _text(name: str, value: Any) -> str:
    if name == "args":
        return shlex.join(value)
    return f"{value:g}" if name == "cpus" else str(value)


def _candidates(lineage: Lineage, stage: Stage, numbers: Mapping[str, int]) -> tuple[CandidateOutputs, ...]:
    """The outputs of stages before this one, where there is a choice; the latest first."""
    upstream = upstream_of(lineage.pipeline, stage.name)
    usable = [each for each in lineage.attempts if each.stage in upstream and each.usable]
    several = {each.stage for each in usable if sum(other.stage == each.stage for other in usable) > 1}
    return tuple(
        CandidateOutputs(
            stage=each.stage,
            number=numbers[each.task_id],
            task_id=each.task_id,
            current=lineage.current.get(each.stage) == each,
        )
        for each in reversed(usable)
        if each.stage in several
    )


def _inputs(context: Context, project: Project, pipeline: Pipeline, last: Attempt | None) -> Iterable[InputParameter]:
    task = None if last is None else context.records.task(last.task_id)
    read = {} if task is None else task.resources
    for name in pipeline.inputs:
        yield InputParameter(name=name, current=_file_name(project.inputs.get(name)), last=_file_name(read.get(name)))


def _file_name(manifest: Manifest | None) -> str:
    files = () if manifest is None else manifest.files
    return files[0].path if len(files) == 1 else count_of(len(files), "file") if files else ""
