"""Compiles a pipeline into a Dagster job: a stage becomes an op, `after` a dependency.

An op has an optional output of type Nothing for each stage after it. To end a run before a stage, the op does not yield
that output, and Dagster skips the stage: the run succeeds with skipped steps and holds no resources. The manifests pass
through the project tables (`jobs/upstream.py`).
"""

from __future__ import annotations

from dagster import (
    DependencyDefinition,
    GraphDefinition,
    In,
    JobDefinition,
    NodeInvocation,
    Nothing,
    OpDefinition,
    Out,
    ResourceDefinition,
)

from winslow_dagster.jobs.descriptions import describe_pipeline, describe_stage
from winslow_dagster.jobs.executor import thread_executor
from winslow_dagster.jobs.run_config import config_schema, flat_config
from winslow_dagster.jobs.stage_op import run_stage
from winslow_dagster.jobs.tags import PIPELINE_DIGEST, PIPELINE_NAME, QUEUE, STAGE
from winslow_dagster.jobs.worker_resources import WorkerResources
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.domain.queue_rules import GPU_VENDOR_TAG

GPU_POOL = "gpu"


def compile_pipeline(pipeline: Pipeline, digest: str, job_name: str) -> JobDefinition:
    """The job of one version of a pipeline. For an old version, `job_name` differs from the pipeline's name."""
    successors = {
        stage.name: tuple(other.name for other in pipeline.stages if stage.name in other.after)
        for stage in pipeline.stages
    }
    ops = [_stage_op(pipeline, digest, stage, successors[stage.name], job_name) for stage in pipeline.stages]
    graph = GraphDefinition(
        name=job_name,
        description=describe_pipeline(pipeline),
        node_defs=ops,
        dependencies={
            NodeInvocation(op.name, alias=stage.name, tags={STAGE: stage.name}): {
                upstream: DependencyDefinition(upstream, stage.name) for upstream in stage.after
            }
            for op, stage in zip(ops, pipeline.stages, strict=True)
        },
    )
    tags = {PIPELINE_NAME: pipeline.name, PIPELINE_DIGEST: digest, QUEUE: queue_of(pipeline)}
    if vendor := gpu_vendor_of(pipeline):
        tags[GPU_VENDOR_TAG] = vendor
    return graph.to_job(
        name=job_name,
        description=describe_pipeline(pipeline),
        tags=tags,
        config=flat_config(pipeline),
        executor_def=thread_executor,
        resource_defs={"winslow": ResourceDefinition(lambda _context: WorkerResources.open())},
    )


def queue_of(pipeline: Pipeline) -> str:
    """The run queue: `gpu` for pipelines with a stage that requires a GPU, otherwise `cpu`."""
    return "gpu" if any(stage.gpu and not stage.gpu.optional for stage in pipeline.stages) else "cpu"


def gpu_vendor_of(pipeline: Pipeline) -> str:
    """The vendor that all stages name which require a GPU; empty if they do not name one, or several."""
    vendors = {stage.gpu.vendor for stage in pipeline.stages if stage.gpu and not stage.gpu.optional}
    return (vendors.pop() or "") if len(vendors) == 1 else ""


def _stage_op(
    pipeline: Pipeline, digest: str, stage: Stage, successors: tuple[str, ...], job_name: str
) -> OpDefinition:
    return OpDefinition(
        compute_fn=run_stage(pipeline, digest, stage, successors),
        # Op names must be unique in a repository; the alias in the job is the stage's own name.
        name=f"{job_name}__{stage.name}",
        description=describe_stage(stage),
        ins={upstream: In(Nothing) for upstream in stage.after},
        outs={successor: Out(Nothing, is_required=False) for successor in successors},
        config_schema=config_schema(pipeline),
        required_resource_keys={"winslow"},
        tags={STAGE: stage.name},
        pool=GPU_POOL if stage.gpu and not stage.gpu.optional else None,
    )
