"""Makes the frozen task of an attempt from a stage, a project and a run request."""

from __future__ import annotations

from dataclasses import dataclass, field

from winslow_dagster.pipelines import Layer, SecretReference, VariableValue, parse_duration_s, parse_size_bytes
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.lineage import ANSWER_RESOURCE
from winslow_dagster.projects.domain.model import Project
from winslow_dagster.projects.domain.run_request import RunRequest, StageOverrides, image_of
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.secrets import SecretStore

ANSWER_VARIABLES = {"WINSLOW_ANSWER_FILE": "${WINSLOW_RESOURCES_DIR}/answer/answer.json"}


def task_id(run_id: str, stage: str, attempt: int) -> str:
    """The id of an attempt: the same for the same run, stage and attempt number."""
    return f"{run_id}.{stage}.{attempt}"


@dataclass(frozen=True, slots=True)
class StageInRun:
    """One stage in one run. `global_env` are the variables that the installation gives to the pipeline."""

    pipeline: Pipeline
    digest: str
    stage: Stage
    project: Project
    request: RunRequest
    run_id: str
    attempt: int
    global_env: Layer = field(default_factory=dict)

    def env_layers(self, answer: Answer | None) -> tuple[Layer, ...]:
        """Later ones win: installation, pipeline, stage, project, answer, run, the run's settings of the stage."""
        answered = {} if answer is None else {**ANSWER_VARIABLES, **answer.variables}
        changed = self.request.stages.get(self.stage.name, StageOverrides())
        return (
            self.global_env,
            self.pipeline.env,
            self.stage.env,
            self.project.env,
            answered,
            self.request.env,
            changed.env,
        )


def stage_task(
    settings: Settings, part: StageInRun, upstream: dict[str, Manifest], answer: Answer | None = None
) -> StageTask:
    """The task, with everything that the attempt needs.

    Raises VariableMissing, InputRejected for its image, NotFound for a secret that is not stored.
    """
    task = unchecked_task(settings, part, upstream, answer)
    secrets = [each.secret for each in task.secrets.values()]
    SecretStore(settings.secrets_dir).require(secrets, f"stage {part.stage.name}")
    return task.model_copy(update={"image": image_of(task)})


def unchecked_task(
    settings: Settings, part: StageInRun, upstream: dict[str, Manifest], answer: Answer | None = None
) -> StageTask:
    """The task as far as it can be made: variables and secrets may be missing, and its image is a template."""
    pipeline, stage, project, request = part.pipeline, part.stage, part.project, part.request
    changed = request.stages.get(stage.name, StageOverrides())
    name = task_id(part.run_id, stage.name, part.attempt)
    secrets = SecretStore(settings.secrets_dir)
    address = f"projects/{project.name}/{stage.name}/{name}"
    return StageTask(
        task_id=name,
        project=project.name,
        pipeline=pipeline.name,
        stage=stage.name,
        attempt=part.attempt,
        run_id=part.run_id,
        image=changed.image or stage.image,
        command=stage.command,
        args=stage.args if changed.args is None else changed.args,
        env_layers=tuple(with_digests(layer, secrets) for layer in part.env_layers(answer)),
        inputs=upstream,
        resources=project.inputs | ({} if answer is None else {ANSWER_RESOURCE: answer.manifest}),
        output_address=f"{address}/output",
        log_address=f"{address}/log",
        store_url=settings.store_url,
        s3_endpoint=settings.s3_endpoint,
        mode=settings.stage_mode,
        cpus=changed.cpus or stage.cpus,
        memory_bytes=parse_size_bytes(changed.memory) if changed.memory else stage.memory_bytes,
        shm_size_bytes=stage.shm_size_bytes,
        gpu=gpu_of_run(stage.gpu, changed.gpu),
        node_tags=stage.node_tags,
        network=stage.network,
        timeout_s=parse_duration_s(changed.timeout) if changed.timeout else stage.timeout_s,
        stop_grace_period_s=stage.stop_grace_period_s,
        success_exit_codes=stage.success_exit_codes,
        awaiting_input_exit_code=stage.awaiting_input_exit_code,
        outputs=stage.outputs,
        checks=stage.checks,
        log_rules=stage.log,
    )


def with_digests(layer: Layer, secrets: SecretStore) -> dict[str, VariableValue]:
    """The layer, in which references to secrets have the digests of their present values."""
    return {
        name: value.model_copy(update={"digest": secrets.digest_of(value.secret)})
        if isinstance(value, SecretReference)
        else value
        for name, value in layer.items()
    }


def gpu_of_run(of_stage: Gpu | None, count: int | None) -> Gpu | None:
    """The stage's GPUs, with the run's count if it has one."""
    if count is None:
        return of_stage
    return (of_stage or Gpu()).model_copy(update={"count": count}) if count else None
