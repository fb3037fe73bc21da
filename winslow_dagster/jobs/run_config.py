"""The flat run config a person writes, in the Launchpad or through the command line, as Dagster checks it.

What it means is said in `projects/request.py`.

project: ulm-07
start_from: track_vehicles
stop_after: export_trajectories
env: {SCALE: "0.5"}
stages:
  track_vehicles: {env: {MIN_TRACK_SECONDS: "2"}}
"""

from __future__ import annotations

from typing import Any

from dagster import ConfigMapping, Field, Map, Noneable, ScalarUnion, Shape

from winslow_dagster.pipelines.model.pipeline import Pipeline


def _shape(fields: dict[str, Field]) -> Shape:
    return Shape(fields)  # type: ignore[no-untyped-call]  # Dagster's own signature


def _variables() -> Map:
    return Map(str, str)  # type: ignore[no-untyped-call]  # Dagster's own signature


def _one_or_several() -> ScalarUnion:
    return ScalarUnion(str, [str])


def _optional(kind: Any, description: str) -> Field:
    return Field(kind, is_required=False, description=description)


def config_schema(pipeline: Pipeline) -> dict[str, Field]:
    """The schema by which the Launchpad checks and completes the run config of this pipeline's job."""
    names = ", ".join(stage.name for stage in pipeline.stages)
    stages = {
        stage.name: _optional(
            _shape(
                {
                    "env": _optional(_variables(), f"Variables, over the pipeline's {dict(stage.env)}"),
                    "args": _optional([str], f"Instead of {list(stage.args)}"),
                    "image": _optional(str, f"Instead of {stage.image}"),
                    "cpus": _optional(float, f"Instead of {stage.cpus}"),
                    "memory": _optional(str, "Such as 8GiB"),
                    "timeout": _optional(str, "Such as 2h"),
                    "gpu": _optional(int, "How many GPUs; 0 is none"),
                }
            ),
            stage.description or f"What this run changes about {stage.name}",
        )
        for stage in pipeline.stages
    }
    return {
        "project": Field(str, description="The project the stages work for; `winslow run` makes one"),
        "start_from": _optional(
            Noneable(_one_or_several()), f"Earlier stages hand on their stored outputs. One or several of: {names}"
        ),
        "stop_after": _optional(Noneable(str), f"Later stages do not run. One of: {names}"),
        "env": _optional(_variables(), "Variables of this run, for every stage"),
        "stages": _optional(_shape(stages), "What this run changes, a stage"),
        "use": _optional(_variables(), "Stage to the attempt (task id) whose outputs it hands on, not the latest"),
        "reuse": _optional(bool, "Take the outputs of an equal attempt, of any project, where there is one"),
    }


def flat_config(pipeline: Pipeline) -> ConfigMapping:
    """Hands the whole flat config to every op, so that each can tell its part in the run."""

    def to_ops(config: dict[str, Any]) -> dict[str, Any]:
        return {"ops": {stage.name: {"config": config} for stage in pipeline.stages}}

    return ConfigMapping(config_fn=to_ops, config_schema=config_schema(pipeline))
