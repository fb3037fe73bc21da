"""Pipelines as an asset graph: the input files of projects, the outputs of stages, and the table of all results.

Every asset is external: a stage's op reports it (`jobs/materialization.py`). A project is a partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dagster import AssetKey, AssetsDefinition, AssetSpec, DynamicPartitionsDefinition

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.jobs.descriptions import describe_stage
from winslow_dagster.pipelines import Pipeline, Stage, load
from winslow_dagster.pipelines.catalogue import pipeline_names
from winslow_dagster.settings import Settings

RESULTS = AssetKey(["results"])


def projects_of(pipeline: str) -> DynamicPartitionsDefinition:
    """The partitions of a pipeline's assets: the projects that use it."""
    return DynamicPartitionsDefinition(name=f"{pipeline}_projects")


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
            description=f"{field.description or f'The {field.kind} of each project.'}\n\n"
            f"To give a project another file, launch the job `{pipeline.name}` with `inputs: {{{name}: FILE}}`.",
            group_name=pipeline.name,
            partitions_def=projects_of(pipeline.name),
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
        # Dagit draws a button "Materialize" for every asset, and disables it for one that is made by an op.
        description=f"{describe_stage(stage)}\n\nMade by the job `{pipeline.name}`. To make it again, "
        f"launch the job with `project: NAME` and `start_from: {stage.name}`.",
        group_name=pipeline.name,
        partitions_def=projects_of(pipeline.name),
        kinds={"docker" if stage.image else "process"},
    )
