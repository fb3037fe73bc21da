"""The schema of the flat run config, as written in the Launchpad or by the command line, for Dagster to validate.

`projects/domain/run_request.py` defines its meaning.

project: ulm-07
inputs: {video: /flights/ulm-07.mp4}
start_from: track_vehicles
stop_after: export_trajectories
env: {SCALE: "0.5"}
stages:
  track_vehicles: {env: {MIN_TRACK_SECONDS: "2"}}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagster import ConfigMapping, Field, Map, Noneable, Permissive, ScalarUnion, Shape

from winslow_dagster.pipelines.model.pipeline import Pipeline, ProjectInput
from winslow_dagster.pipelines.variables import Layer


def _shape(fields: dict[str, Field]) -> Shape:
    return Shape(fields)  # type: ignore[no-untyped-call]  # Dagster's own signature


def _names() -> Map:
    return Map(str, str)  # type: ignore[no-untyped-call]  # Dagster's own signature


def _variables(secrets: Iterable[str]) -> Map | Permissive:
    """Variables by name. The value of a secret is refused before Dagster stores it: only a reference is accepted."""
    reference = {
        "secret": Field(str, description="Name of a stored secret"),
        "in_env": Field(bool, is_required=False, description="Whether the variable is set, too, beside the file"),
    }
    fields = {name: Field(reference, is_required=False, description="A secret") for name in secrets}
    if fields:
        # A mapping with some known names; RunRequest validates the other values.
        return Permissive(fields)  # type: ignore[no-untyped-call]  # Dagster's own signature
    return Map(str, ScalarUnion(str, reference))  # type: ignore[no-untyped-call]  # Dagster's own signature


def _one_or_several() -> ScalarUnion:
    return ScalarUnion(str, [str])


def _optional(kind: Any, description: str) -> Field:
    return Field(kind, is_required=False, description=description)


def _describe_input(declared: ProjectInput) -> str:
    optional = "" if declared.required else "Optional. "
    description = declared.description.strip() or f"The {declared.kind}."
    return f"{optional}{description} The absolute path of a file, or pool:NAME"


def config_schema(pipeline: Pipeline) -> dict[str, Field]:
    """The schema by which the Launchpad validates and completes the run config of this pipeline's job."""
    secrets = sorted(pipeline.secret_variables)
    names = ", ".join(stage.name for stage in pipeline.stages)
    stages = {
        stage.name: _optional(
            _shape(
                {
                    "env": _optional(_variables(secrets), f"Variables that override {_shown(stage.env)}"),
                    "args": _optional([str], f"Overrides {list(stage.args)}"),
                    "image": _optional(str, f"Overrides {stage.image}"),
                    "cpus": _optional(float, f"Overrides {stage.cpus}"),
                    "memory": _optional(str, "Such as 8GiB"),
                    "timeout": _optional(str, "Such as 2h"),
                    "gpu": _optional(int, "Number of GPUs; 0 for none"),
                }
            ),
            stage.description or f"Overrides for {stage.name} in this run",
        )
        for stage in pipeline.stages
    }
    inputs = {
        name: Field(str, default_value="", description=_describe_input(declared))
        for name, declared in pipeline.inputs.items()
    }
    return {
        # Fields with a default are what the Launchpad starts with.
        "project": Field(str, default_value="", description="Name of the project; it is created if it does not exist"),
        **({"inputs": _optional(_shape(inputs), "Files of the project, if they are new")} if inputs else {}),
        "start_from": _optional(
            Noneable(_one_or_several()),
            f"First stage or stages to run; earlier ones reuse their stored outputs. Of: {names}",
        ),
        "stop_after": _optional(Noneable(str), f"Last stage to run. One of: {names}"),
        "env": _optional(_variables(secrets), "Variables of this run, for all stages"),
        "stages": _optional(_shape(stages), "Overrides for this run, by stage"),
        "use": _optional(_names(), "Stage -> task id of the attempt whose outputs to use instead of the latest"),
        "reuse": _optional(bool, "Reuse the outputs of an equal attempt of any project, if there is one"),
    }


def _shown(env: Layer) -> dict[str, str]:
    return {name: str(value) for name, value in env.items()}


def flat_config(pipeline: Pipeline) -> ConfigMapping:
    """Passes the whole flat config to every op, so that each can determine its part in the run."""

    def to_ops(config: dict[str, Any]) -> dict[str, Any]:
        return {"ops": {stage.name: {"config": config} for stage in pipeline.stages}}

    return ConfigMapping(config_fn=to_ops, config_schema=config_schema(pipeline))
