"""Pipelines as an asset graph: the input files of projects, the outputs of stages, and the table of all results.

Every asset is external: a stage's op reports it (`jobs/materialization.py`). A project is a partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dagster import AssetKey, AssetsDefinition, AssetSpec, DynamicPartitionsDefinition

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines import Pipeline, Stage, load
from winslow_dagster.pipelines.catalogue import pipeline_names
from winslow_dagster.settings import Settings

PROJECTS = DynamicPartitionsDefinition(name="projects")
RESULTS = AssetKey(["results"])


def stage_key(pipeline: str, stage: str) -> AssetKey:
    """The asset of a stage's outputs."""
    return AssetKey([pipeline, stage])


def input_key(pipeline: str, name: str) -> AssetKey:
    """The asset of an input."""
    return AssetKey([pipeline, "inputs", name])


def usable_pipelines(settings: Settings) -> Iterator[Pipeline]:
    """All valid pipelines. The jobs of invalid ones show what is wrong."""
    for path in pipeline_names(settings.pipelines_dir).values():
        try:
            yield load(path).pipeline
        except PipelineInvalid:
            continue


def pipeline_assets(pipeline: Pipeline) -> AssetsDefinition:
    """The inputs and the stages of a pipeline. First stages depend on the inputs."""
    inputs = [
        AssetSpec(
            input_key(pipeline.name, name),
            description=field.description or f"The {field.kind} of each project",
            group_name=pipeline.name,
            partitions_def=PROJECTS,
            kinds={field.kind},
        )
        for name, field in pipeline.inputs.items()
    ]
    stages = [_stage_asset(pipeline, stage) for stage in pipeline.stages]
    return AssetsDefinition(specs=[*inputs, *stages])


def results_asset(pipelines: Iterable[Pipeline]) -> AssetsDefinition:
    """The table of the results of all projects; it depends on the last stages of every pipeline."""
    ends = [
        stage_key(pipeline.name, stage.name)
        for pipeline in pipelines
        for stage in pipeline.stages
        if not any(stage.name in other.after for other in pipeline.stages)
    ]
    description = "The results of all projects, from the latest successful attempt of each stage"
    return AssetsDefinition(specs=[AssetSpec(RESULTS, deps=ends, description=description, kinds={"csv"})])


def _stage_asset(pipeline: Pipeline, stage: Stage) -> AssetSpec:
    upstream = [stage_key(pipeline.name, name) for name in stage.after]
    return AssetSpec(
        stage_key(pipeline.name, stage.name),
        deps=upstream or [input_key(pipeline.name, name) for name in pipeline.inputs],
        description=stage.description or None,
        group_name=pipeline.name,
        partitions_def=PROJECTS,
        kinds={"docker" if stage.image else "process"},
    )
