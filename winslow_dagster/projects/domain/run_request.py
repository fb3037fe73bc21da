"""The request of one run, which stages it runs, and whether it is valid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from winslow_dagster.actions import Action
from winslow_dagster.errors import AmountMalformed, InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines import (
    Layer,
    Variables,
    nearest,
    parse_duration_s,
    parse_size_bytes,
    resolve_environment,
    substitute,
)
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.pipelines.schema.value_parsers import is_image_name
from winslow_dagster.projects.domain.lineage import upstream_of
from winslow_dagster.stages.launchers.docker.spec import PLACES
from winslow_dagster.stages.launchers.stage_variables import planned_variables
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.secrets import SecretStore


class StageOverrides(BaseModel):
    """What one run changes about one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: Variables = Field(default_factory=dict)
    args: tuple[str, ...] | None = None
    image: str | None = None
    cpus: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    memory: str | None = None
    timeout: str | None = None
    gpu: int | None = Field(default=None, ge=0, description="How many GPUs; 0 is none.")


def _without_empty(value: Any) -> Any:
    """The Launchpad starts with an empty text for each input."""
    return {name: text for name, text in value.items() if text} if isinstance(value, Mapping) else value


def _names(value: Any) -> Any:
    """A single name becomes a list of one, None an empty list."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


class RunRequest(BaseModel):
    """The run config as a value, as the Launchpad shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    inputs: Annotated[dict[str, str], BeforeValidator(_without_empty)] = Field(
        default_factory=dict,
        description="Input -> the path of a file, or pool:NAME. In a run config only: other doors store inputs before.",
    )
    start_from: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        default=(),
        description="The stages to run again, with all that follow them. One name may be given as text.",
    )
    stop_after: str | None = None
    env: Variables = Field(default_factory=dict)
    stages: dict[str, StageOverrides] = Field(default_factory=dict)
    use: dict[str, str] = Field(
        default_factory=dict,
        description="Stage -> the attempt (task id) whose outputs it passes on instead of the latest.",
    )
    reuse: bool = Field(
        default=False, description="Take over the outputs of an equal attempt of any project, if there is one."
    )

    @classmethod
    def checked(cls, pipeline: Pipeline, values: Mapping[str, Any]) -> RunRequest:
        """The request, if it is valid for the pipeline. Raises InputRejected, and NotFound for an unknown stage."""
        try:
            request = cls.model_validate(values)
        except ValidationError as error:
            raise InputRejected(
                "; ".join(
                    f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False)
                ),
                where="settings of the run",
                expected=f"env, args, image, cpus, memory, timeout or gpu of {_listed(pipeline)}",
            ) from error
        if not request.project:
            raise InputRejected("no project is named", where="settings of the run", expected="`project: NAME`")
        for name in (*request.start_from, request.stop_after, *request.stages, *request.use):
            if name is not None:
                require_stage(pipeline, name)
        for name, changed in request.stages.items():
            check_overrides(name, changed)
        for env in (request.env, *(changed.env for changed in request.stages.values())):
            refuse_values_of_secrets(pipeline, env)
        return request

    def record_fields(self) -> dict[str, Any]:
        """The fields of a `RunRecord`."""
        fields = {"env", "stages", "use", "reuse"}
        return {
            "start_from": ", ".join(self.start_from) or None,
            "stop_after": self.stop_after,
            "settings": self.model_dump(mode="json", include=fields, exclude_defaults=True),
        }

    def run_config(self) -> dict[str, Any]:
        """The run config for Dagster, without defaults."""
        config = self.model_dump(mode="json", exclude_defaults=True)
        if len(self.start_from) == 1:
            config["start_from"] = self.start_from[0]
        return config


def refuse_values_of_secrets(pipeline: Pipeline, env: Layer, where: str = "settings of the run") -> None:
    """Raise InputRejected if a variable that the pipeline declares as a secret has a plain value."""
    for name, value in env.items():
        if isinstance(value, str) and name in pipeline.secret_variables:
            raise InputRejected(
                f"{name} is a secret, and its value would be shown here",
                where=where,
                expected=f"a reference to a stored secret: {{secret: {name}}}",
                remedy=Action("set_secret", {"secret": name}),
            )


class RunScope:
    """Which stages of a pipeline a request runs, reuses and skips."""

    def __init__(self, pipeline: Pipeline, request: RunRequest) -> None:
        self._names = tuple(stage.name for stage in pipeline.stages)
        self._upstream = {name: upstream_of(pipeline, name) for name in self._names}
        self._request = request

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The stages that the run reaches: all, or `stop_after` and its upstream stages."""
        stop = self._request.stop_after
        return frozenset(self._names) if stop is None else self._upstream[stop] | {stop}

    @cached_property
    def redone(self) -> frozenset[str]:
        """The stages that run even if they have outputs: `start_from` and all after it; every stage without it."""
        starts = set(self._request.start_from)
        if not starts:
            return self.wanted - set(self._request.use)
        return frozenset(name for name in self.wanted if name in starts or starts & self._upstream[name])

    @cached_property
    def must_be_stored(self) -> frozenset[str]:
        """The upstream stages of `start_from`, which must have outputs. Others run if they have none."""
        needed = frozenset[str]().union(*(self._upstream[start] for start in self._request.start_from))
        return needed - self.redone

    def running(self, stored: Iterable[str]) -> frozenset[str]:
        """The stages that will run, given those that have outputs."""
        return self.redone | (self.wanted - set(stored) - set(self._request.use))

    def check(self, stored: Iterable[str]) -> None:
        """Raise ProjectConflict if the request cannot be carried out, or if a part of it would have no effect."""
        where, starts = f"project {self._request.project}", ", ".join(self._request.start_from)
        missing = sorted(self.must_be_stored - set(stored) - set(self._request.use))
        if missing:
            raise ProjectConflict(
                f"start_from {starts} needs the outputs of {', '.join(missing)}, which do not exist",
                where=where,
                remedy=f"Start from {missing[0]}, or from an earlier stage",
            )
        unreached = sorted(set(self._request.start_from) - self.wanted)
        if unreached:
            raise ProjectConflict(
                f"stop_after {self._request.stop_after} comes before start_from {', '.join(unreached)}",
                where=where,
                remedy="Stop after a stage that follows start_from",
            )
        if both := sorted(set(self._request.use) & self.redone):
            raise ProjectConflict(
                f"{', '.join(both)} cannot both run again and use existing outputs",
                where=where,
                remedy="Start from a later stage, or do not choose its outputs",
            )
        idle = sorted(set(self._request.stages) - self.running(stored))
        if idle:
            raise ProjectConflict(
                f"there are settings for {', '.join(idle)}, which will not run",
                where=where,
                remedy=f"Start from {idle[0]}, or from an earlier stage",
            )


def require_stage(pipeline: Pipeline, name: str) -> Stage:
    """The stage of that name. Raises NotFound with the closest match."""
    names = [stage.name for stage in pipeline.stages]
    if name not in names:
        meant = nearest(name, names)
        raise NotFound(
            f"the pipeline {pipeline.name} has no stage {name!r}",
            expected=f"one of {_listed(pipeline)}",
            remedy=f"Did you mean {meant}?" if meant else "",
        )
    return pipeline.stage(name)


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """A project before a run: input names -> file names, the variables that answers set, and the stored secrets.

    `global_env` are the variables that the installation gives to the pipeline.
    """

    inputs: Mapping[str, str]
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: SecretStore | None = None
    global_env: Layer = field(default_factory=dict)


def check_variables(
    pipeline: Pipeline,
    stages: Iterable[str],
    request: RunRequest,
    project_env: Layer,
    known: KnownFiles,
) -> None:
    """Check that every `${VAR}` of the stages has a value, as a container would see it, and that secrets are stored.

    Raises VariableMissing, TemplateMalformed, NotFound for a secret.
    """
    resources = {
        name: Manifest(address=name, files=(FileEntry(path=file, size_bytes=0, blake3=""),))
        for name, file in known.inputs.items()
    }
    for stage in (stage for stage in pipeline.stages if stage.name in stages):
        changed = request.stages.get(stage.name, StageOverrides())
        answered = known.answers.get(stage.name, {})
        task = StageTask(
            task_id=f"checked.{stage.name}.1",
            project=request.project,
            pipeline=pipeline.name,
            stage=stage.name,
            run_id="checked",
            env_layers=(
                dict(known.global_env),
                pipeline.env,
                stage.env,
                dict(project_env),
                dict(answered),
                request.env,
                changed.env,
            ),
            image=changed.image or stage.image,
            resources=resources,
            output_address="",
            log_address="",
            store_url="",
            log_rules=LogRules(),
        )
        env = resolve_environment(task.env_layers, planned_variables(task, PLACES))
        for arg in stage.args if changed.args is None else changed.args:
            substitute(arg, env, where=f"argument {arg!r} of stage {stage.name}")
        image_of(task)
        if known.secrets is not None:
            known.secrets.require([each.secret for each in task.secrets.values()], f"stage {stage.name}")


def image_of(task: StageTask) -> str | None:
    """The name of the task's image, with variables from the stage's environment filled in.

    Raises VariableMissing, and InputRejected if the result is not an image name.
    """
    if task.image is None or "$" not in task.image:
        return task.image
    where = f"image of stage {task.stage}"
    env = resolve_environment(task.env_layers, planned_variables(task, PLACES))
    image = substitute(task.image, env, where=where)
    _check_image(image, where)
    return image


def _check_image(image: str, where: str) -> None:
    if not is_image_name(image):
        raise InputRejected(f"{image!r} is not an image name", where=where, expected="registry/name:tag")


def check_overrides(stage: str, changed: StageOverrides) -> None:
    """Raise InputRejected for an image, a size or a duration that is none."""
    if changed.image is not None and "$" not in changed.image:
        # One with variables is checked once they have values.
        _check_image(changed.image, f"settings of {stage}")
    try:
        if changed.memory is not None:
            parse_size_bytes(changed.memory)
        if changed.timeout is not None:
            parse_duration_s(changed.timeout)
    except AmountMalformed as error:
        raise InputRejected(
            error.what, where=f"settings of {stage}", expected=error.expected, remedy=error.remedy
        ) from error


def _listed(pipeline: Pipeline) -> str:
    return ", ".join(stage.name for stage in pipeline.stages)
