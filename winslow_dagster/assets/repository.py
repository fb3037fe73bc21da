"""The repository: jobs and the asset graph, both made on demand.

Dagster's lazy repository (a dict of callables) accepts no assets, and an eager one no callables. `RepositoryData` is
the public way to have both: a run worker loads its one job, and never the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetsDefinition,
    JobDefinition,
    RepositoryData,
    ResourceDefinition,
    SensorDefinition,
)

from winslow_dagster.assets.checks import check_definitions, check_job
from winslow_dagster.assets.graph import pipeline_assets, results_asset, usable_pipelines
from winslow_dagster.jobs.repository import JobMaker
from winslow_dagster.pipelines import Pipeline
from winslow_dagster.settings import Settings


class Assets:
    """The asset graph of all pipelines, read from their files once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def definitions(self) -> dict[AssetKey, AssetsDefinition]:
        """By key."""
        definitions = [*map(pipeline_assets, self._pipelines), results_asset(self._pipelines)]
        return {key: definition for definition in definitions for key in definition.keys}

    @cached_property
    def checks(self) -> dict[AssetCheckKey, AssetsDefinition]:
        """The checks of the pipeline files, by key."""
        definitions = [definition for pipeline in self._pipelines for definition in check_definitions(pipeline)]
        return {key: definition for definition in definitions for key in definition.check_keys}

    @cached_property
    def jobs(self) -> tuple[JobDefinition, ...]:
        """The job of the checks, if there are any: Dagit shows a check only as part of a job."""
        checked = {key.asset_key for key in self.checks}
        assets = dict.fromkeys(self.definitions[key] for key in checked)
        return (check_job(tuple(assets), tuple(dict.fromkeys(self.checks.values()))),) if checked else ()

    @cached_property
    def _pipelines(self) -> tuple[Pipeline, ...]:
        return tuple(usable_pipelines(self._settings))


class LazyRepository(RepositoryData):
    """Jobs, sensors and, except in a run worker, assets."""

    def __init__(
        self, jobs: Mapping[str, JobMaker], sensors: Sequence[SensorDefinition], assets: Assets | None = None
    ) -> None:
        self._makers = jobs
        self._sensors = sensors
        self._assets = assets
        self._jobs: dict[str, JobDefinition] = {}

    def get_job_names(self) -> Sequence[str]:
        """The names of all jobs."""
        return [*self._makers, *self._asset_jobs()]

    def has_job(self, job_name: str) -> bool:
        """Whether there is a job of that name."""
        return job_name in self._makers or job_name in self._asset_jobs()

    def get_job(self, job_name: str) -> JobDefinition:
        """The job of that name. Raises KeyError."""
        if job_name not in self._jobs:
            maker = self._makers.get(job_name)
            self._jobs[job_name] = maker() if maker else self._asset_jobs()[job_name]
        return self._jobs[job_name]

    def get_all_jobs(self) -> Sequence[JobDefinition]:
        """All jobs."""
        return [self.get_job(name) for name in self.get_job_names()]

    def get_all_sensors(self) -> Sequence[SensorDefinition]:
        """All sensors."""
        return self._sensors

    def get_assets_defs_by_key(self) -> Mapping[AssetKey, AssetsDefinition]:
        """The asset graph."""
        return self._assets.definitions if self._assets else {}

    def get_asset_checks_defs_by_key(self) -> Mapping[AssetCheckKey, AssetsDefinition]:  # type: ignore[override]
        """The asset checks."""
        return self._assets.checks if self._assets else {}

    def get_top_level_resources(self) -> Mapping[str, ResourceDefinition]:
        """None: each job has its own."""
        return {}

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, AbstractSet[str]]:
        """None."""
        return {}

    def _asset_jobs(self) -> dict[str, JobDefinition]:
        return {job.name: job for job in self._assets.jobs} if self._assets else {}
