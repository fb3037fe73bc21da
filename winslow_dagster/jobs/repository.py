"""The jobs of all pipeline files, compiled on demand, so that a run worker loads one pipeline and not five hundred.

A job is named after its file, so that listing them parses nothing. An invalid file becomes a job of the same name whose
description lists the errors; it does not affect the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from dagster import GraphDefinition, JobDefinition, OpDefinition

from winslow_dagster.errors import NotFound, PipelineInvalid, StoreError, WinslowError
from winslow_dagster.jobs.compiler import compile_pipeline
from winslow_dagster.jobs.executor import StepFailure
from winslow_dagster.pipelines import keep_version, load_version, pipeline_names
from winslow_dagster.settings import Settings

SHORT_DIGEST = 8
"""Characters of a version's digest in its job's name."""

JobMaker = Callable[[], JobDefinition]


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A kept version of a pipeline."""

    pipeline: str
    digest: str

    @property
    def job_name(self) -> str:
        """The name of its job if it is not the current version."""
        return f"{self.pipeline}__{self.digest[:SHORT_DIGEST]}"


def pipeline_jobs(settings: Settings, held: Iterable[Version]) -> dict[str, JobMaker]:
    """Job name -> function that compiles it, for Dagster's lazy repositories.

    One job per pipeline file, and one for each of the `held` versions, which projects still use, that is not current.
    """
    current = pipeline_names(settings.pipelines_dir)
    jobs = {name: _current(settings, path) for name, path in current.items()}
    for version in held:
        path = current.get(version.pipeline)
        if path is None or sha256(path.read_bytes()).hexdigest() != version.digest:
            jobs[version.job_name] = _kept(settings, version, version.job_name)
    return jobs


def worker_jobs(settings: Settings, pinned: str) -> dict[str, JobMaker]:
    """The one job of a run worker: the version with which the run was started, even if the file has changed since."""
    job_name, pipeline, digest = pinned.split("=")
    return {job_name: _kept(settings, Version(pipeline, digest), job_name)}


def _current(settings: Settings, path: Path) -> JobMaker:
    def make() -> JobDefinition:
        try:
            digest = keep_version(path, settings.versions_dir)
        except PipelineInvalid as error:
            return _invalid(path.stem, error)
        return _kept(settings, Version(path.stem, digest), path.stem)()

    return make


def _kept(settings: Settings, version: Version, job_name: str) -> JobMaker:
    def make() -> JobDefinition:
        try:
            pipeline = load_version(settings.versions_dir, version.pipeline, version.digest)
        except (NotFound, StoreError, PipelineInvalid) as error:
            if job_name == version.pipeline:
                raise
            return _invalid(job_name, error)  # a lost version must not hide the pipelines
        return compile_pipeline(pipeline, version.digest, job_name)

    return make


def _invalid(name: str, error: WinslowError) -> JobDefinition:
    def refuse(_op_context: Any, _inputs: Any) -> Any:
        raise StepFailure(str(error), allow_retries=False)

    op = OpDefinition(compute_fn=refuse, name=f"{name}__cannot_be_used", description=str(error), outs={}, ins={})
    problems = "\n".join(f"- {problem}" for problem in getattr(error, "problems", ()) or (error,))
    description = f"**This pipeline file is invalid.**\n\n{problems}"
    return GraphDefinition(name=name, description=description, node_defs=[op]).to_job(
        name=name, description=description, tags={"winslow/invalid": "true"}
    )
