"""The jobs of all pipeline files, made when asked for, so that a run worker loads one pipeline and not five hundred.

A name is taken from its file's name; nothing is parsed to list them. A file that cannot be used becomes a job of the
same name whose description says what is wrong: it never hides the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dagster import Failure, GraphDefinition, JobDefinition, OpDefinition

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.jobs.compiler import compile_pipeline
from winslow_dagster.jobs.launcher import PINNED_VERSION
from winslow_dagster.pipelines import keep_version, load_pipeline, load_version, pipeline_names, version_digests
from winslow_dagster.settings import Settings

SHORT = 8
"""How many characters of a version's digest its job's name carries."""

JobMaker = Callable[[], JobDefinition]


def version_job_name(pipeline: str, digest: str) -> str:
    """The name of the job of a version that is no longer the current one."""
    return f"{pipeline}__{digest[:SHORT]}"


def pipeline_jobs(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, JobMaker]:
    """Job name -> how to make it, for Dagster's lazy repositories.

    There is one job a pipeline file, and one a kept version that a project may still hold on to.
    """
    pinned_name, _, pinned_digest = environ.get(PINNED_VERSION, "").partition("=")
    jobs: dict[str, JobMaker] = {}
    for name, path in pipeline_names(settings.pipelines_dir).items():
        jobs[name] = _current(settings, name, path)
        for digest in version_digests(settings.versions_dir, name):
            jobs[version_job_name(name, digest)] = _kept(settings, name, digest, version_job_name(name, digest))
    if pinned_digest and pinned_name:
        # A run of the current job goes on with the file it began with, whatever the file says now.
        jobs[pinned_name] = _kept(settings, pinned_name, pinned_digest, pinned_name)
    return jobs


def _current(settings: Settings, name: str, path: Path) -> JobMaker:
    def make() -> JobDefinition:
        try:
            digest = keep_version(path, settings.versions_dir)
            return compile_pipeline(load_pipeline(path), digest, name)
        except PipelineInvalid as error:
            return _invalid(name, error)

    return make


def _kept(settings: Settings, name: str, digest: str, job_name: str) -> JobMaker:
    def make() -> JobDefinition:
        return compile_pipeline(load_version(settings.versions_dir, name, digest), digest, job_name)

    return make


def _invalid(name: str, error: PipelineInvalid) -> JobDefinition:
    def refuse(_context: Any, _inputs: Any) -> Any:
        raise Failure(str(error), allow_retries=False)

    op = OpDefinition(compute_fn=refuse, name=f"{name}__cannot_be_used", description=str(error), outs={}, ins={})
    description = f"**This pipeline file cannot be used.**\n\n```\n{error}\n```"
    return GraphDefinition(name=name, description=description, node_defs=[op]).to_job(
        name=name, description=description, tags={"winslow/invalid": "true"}
    )
