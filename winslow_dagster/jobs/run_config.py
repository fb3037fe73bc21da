"""The flat run config a person writes, in the Launchpad or through the command line, and what it means.

project: ulm-07
start_from: track_vehicles
stop_after: export_trajectories
env: {SCALE: "0.5"}
stages:
  track_vehicles: {env: {MIN_TRACK_SECONDS: "2"}}
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from dagster import ConfigMapping, Field, Map, Noneable, Shape
from pydantic import BaseModel, ConfigDict
from pydantic import Field as ModelField

from winslow_dagster.pipelines.model import Pipeline


class StageSettings(BaseModel):
    """What one run changes about one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: dict[str, str] = ModelField(default_factory=dict)
    args: tuple[str, ...] | None = None
    image: str | None = None
    cpus: float | None = None
    memory: str | None = None
    timeout: str | None = None


class RunRequest(BaseModel):
    """The run config as a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    start_from: str | None = None
    stop_after: str | None = None
    env: dict[str, str] = ModelField(default_factory=dict)
    stages: dict[str, StageSettings] = ModelField(default_factory=dict)

    def settings_of(self, stage: str) -> StageSettings:
        """What this run changes about the stage; nothing, by default."""
        return self.stages.get(stage, StageSettings())


class RunScope:
    """Which stages of a pipeline a request runs, which hand on stored outputs, and which it leaves out."""

    def __init__(self, pipeline: Pipeline, request: RunRequest) -> None:
        self._after = {stage.name: stage.after for stage in pipeline.stages}
        self._request = request

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The stages the run reaches: all, or `stop_after` and what it needs."""
        stop = self._request.stop_after
        return frozenset(self._after) if stop is None else frozenset(self.upstream(stop) | {stop})

    @cached_property
    def redone(self) -> frozenset[str]:
        """The stages that run whatever is stored: `start_from` and all that follow it; without it, every one."""
        start = self._request.start_from
        if start is None:
            return self.wanted
        return frozenset(name for name in self.wanted if name == start or start in self.upstream(name))

    @cached_property
    def must_be_stored(self) -> frozenset[str]:
        """The stages whose stored outputs `start_from` goes on from. Those beside its branch run if they never have."""
        start = self._request.start_from
        return frozenset() if start is None else frozenset(self.upstream(start))

    def upstream(self, name: str) -> set[str]:
        """Every stage that `name` needs, directly or not."""
        found: set[str] = set()
        waiting = list(self._after[name])
        while waiting:
            stage = waiting.pop()
            if stage not in found:
                found.add(stage)
                waiting.extend(self._after[stage])
        return found


def _shape(fields: dict[str, Field]) -> Shape:
    return Shape(fields)  # type: ignore[no-untyped-call]  # Dagster's own signature


def _variables() -> Map:
    return Map(str, str)  # type: ignore[no-untyped-call]  # Dagster's own signature


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
                }
            ),
            stage.description or f"What this run changes about {stage.name}",
        )
        for stage in pipeline.stages
    }
    return {
        "project": Field(str, description="The project the stages work for; `winslow run` makes one"),
        "start_from": _optional(Noneable(str), f"Earlier stages hand on their stored outputs. One of: {names}"),
        "stop_after": _optional(Noneable(str), f"Later stages do not run. One of: {names}"),
        "env": _optional(_variables(), "Variables of this run, for every stage"),
        "stages": _optional(_shape(stages), "What this run changes, a stage"),
    }


def flat_config(pipeline: Pipeline) -> ConfigMapping:
    """Hands the whole flat config to every op, so that each can tell its part in the run."""

    def to_ops(config: dict[str, Any]) -> dict[str, Any]:
        return {"ops": {stage.name: {"config": config} for stage in pipeline.stages}}

    return ConfigMapping(config_fn=to_ops, config_schema=config_schema(pipeline))
