"""What commands work with: the installation's resources, opened when they are first needed, and who acts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from winslow_dagster.actions import Action
from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import NotFound
from winslow_dagster.footage import FootageReader
from winslow_dagster.pipelines import Catalogue, LoadedPipeline, Pipeline, load, load_version, nearest
from winslow_dagster.pipelines.catalogue import pipeline_names
from winslow_dagster.projects.commands.file_list_cache import FileListCache
from winslow_dagster.projects.dagster_api.client import DagsterClient, DagsterRun
from winslow_dagster.projects.dagster_api.run_completion import reconcile_runs
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.permission import Permissions
from winslow_dagster.projects.database.quotas import Quotas
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.model import Project
from winslow_dagster.projects.domain.used_pipelines import UsedPipeline, named, newest_versions, with_stage
from winslow_dagster.projects.domain.views import ProjectStatus
from winslow_dagster.projects.inputs.digests import Digests
from winslow_dagster.projects.inputs.pool_directory import PoolDirectory
from winslow_dagster.projects.status.project_status import StatusReader, changes_since
from winslow_dagster.settings import Settings
from winslow_dagster.storage.archives import Archive
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.store import Store

Resource = TypeVar("Resource")


class Services(Protocol):
    """The processes of an installation: web server, daemon, code server."""

    @property
    def address(self) -> str:
        """Address of the web server."""

    def running(self) -> bool:
        """Whether the installation's own web server answers."""

    def for_a_while(self) -> AbstractContextManager[str]:
        """The address of running services; starts some and stops them afterwards if none are running."""

    def dagster(self, installation_id: str, /) -> DagsterClient:
        """The client of their web server."""


class Resources:
    """Database, store, engine and Dagster of one installation. Each is opened once, by whichever thread asks first."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        *,
        records: ProjectRecords | None = None,
        store: Store | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._settings = settings
        self.services = services
        self.digests = Digests()
        self._opened: dict[str, Any] = {
            name: resource
            for name, resource in (("records", records), ("store", store), ("engine", engine))
            if resource is not None
        }
        self._lock = threading.RLock()
        self._to_close = contextlib.ExitStack()
        self._started_services = False
        self.queued_runs: dict[str, DagsterRun] = {}
        """What Dagster last said of runs that wait in the queue."""
        # A kept version never changes, and a page asks for it several times.
        self._versions: dict[tuple[str, str], Pipeline] = {}

    @property
    def records(self) -> ProjectRecords:
        """The project tables."""

        def open_records() -> ProjectRecords:
            records = ProjectRecords.open(self._settings.database_url)
            self._to_close.callback(self._opened.pop, "records")
            self._to_close.callback(records.close)
            return records

        return self._once("records", open_records)

    @property
    def store(self) -> Store:
        """Where inputs and outputs are stored."""
        return self._once("store", lambda: open_store(self._settings.store_url, self._settings.s3_endpoint))

    @property
    def engine(self) -> Engine:
        """Where stages run."""
        return self._once("engine", lambda: open_engine(self._settings))

    @property
    def footage(self) -> FootageReader:
        """Decodes pictures and videos."""
        return self._once("footage", lambda: FootageReader(self._settings.footage_dir))

    @property
    def archives(self) -> FileListCache[Archive]:
        """The archives that are downloaded."""
        return self._once("archives", FileListCache[Archive])

    @property
    def pool_directories(self) -> FileListCache[PoolDirectory]:
        """The directories of the pool that are looked at."""
        return self._once("pool_directories", FileListCache[PoolDirectory])

    def dagster(self) -> DagsterClient:
        """Dagster's web server. If no services are running, starts some, which stop with `close`."""
        with self._lock:
            if not self._started_services:
                self._to_close.enter_context(self.services.for_a_while())
                self._started_services = True
        return self._client()

    def dagster_if_running(self) -> DagsterClient | None:
        """Dagster's web server, or None if it is not running: a look starts nothing."""
        running = self._started_services or self.services.running()
        return self._client() if running else None

    def _client(self) -> DagsterClient:
        return self.services.dagster(self.records.database.installation_id)

    def pipeline_version(self, name: str, digest: str) -> Pipeline:
        """A kept version of a pipeline. Raises NotFound, StoreError."""
        key = (name, digest)
        if key not in self._versions:
            self._versions[key] = load_version(self._settings.versions_dir, name, digest)
        return self._versions[key]

    def close(self) -> None:
        """Stop the services that were started, and close the database connections."""
        with self._lock:
            self._started_services = False
            self._to_close.close()

    def _once(self, name: str, open_resource: Callable[[], Resource]) -> Resource:
        found: Resource | None = self._opened.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._opened:
                self._opened[name] = open_resource()
            opened: Resource = self._opened[name]
            return opened


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Context:
    """Who acts on which installation, and what time it is. Commands take this and nothing else of an installation."""

    settings: Settings
    resources: Resources
    actor: Actor = field(default_factory=Actor)
    clock: Callable[[], datetime] = _now

    def acting_as(self, actor: Actor) -> Context:
        """The same for somebody else."""
        return replace(self, actor=actor)

    @property
    def records(self) -> ProjectRecords:
        """The project tables."""
        return self.resources.records

    @property
    def quotas(self) -> Quotas:
        """How much space projects and people may take."""
        return Quotas(self.records.database, self.settings.quotas_file)

    @property
    def store(self) -> Store:
        """Where inputs and outputs are stored."""
        return self.resources.store

    @property
    def engine(self) -> Engine:
        """Where stages run."""
        return self.resources.engine

    def dagster(self) -> DagsterClient:
        """Dagster's web server, started if necessary."""
        return self.resources.dagster()

    @property
    def status_reader(self) -> StatusReader:
        """Reads the status of projects."""
        return StatusReader(self.records, self.engine, self.resources.dagster_if_running)

    def status(self, project: str) -> ProjectStatus:
        """The status of a project. What only Dagster knows is left out if its services are not running."""
        found = self.records.project(project)
        pipeline = self.pinned(found)
        changed = changes_since(pipeline, found.pipeline_digest, lambda: self.pipeline(found.pipeline))
        _own, *others = newest_versions(self.used_pipelines(found))
        return self.status_reader.status(found, pipeline, changed, others)

    def reconcile(self, project: str | None = None) -> None:
        """Record the ends of runs, of one project or all, before deciding about them, if the services are running."""
        reconcile_runs(self.records, self.resources.dagster_if_running(), project)

    def pipelines(self) -> Catalogue:
        """All pipeline files, with the errors of those that cannot be used."""
        return Catalogue.read(self.settings.pipelines_dir)

    def pipeline(self, name: str) -> LoadedPipeline:
        """The pipeline file as it is now. Raises NotFound, and PipelineInvalid with all its errors."""
        return load(self.pipeline_path(name))

    def pipeline_path(self, name: str) -> Path:
        """The file of a pipeline, valid or not. Raises NotFound."""
        files = pipeline_names(self.settings.pipelines_dir)
        if name not in files:
            meant = nearest(name, files)
            raise NotFound(
                f"there is no pipeline {name!r}",
                where=str(self.settings.pipelines_dir),
                expected=f"one of {', '.join(files)}" if files else "",
                remedy=f"Did you mean {meant}?" if meant else Action("list_pipelines"),
            )
        return files[name]

    def pinned(self, project: Project) -> Pipeline:
        """The version of the pipeline that the project uses."""
        return self.resources.pipeline_version(project.pipeline, project.pipeline_digest)

    def used_pipelines(self, project: Project) -> tuple[UsedPipeline, ...]:
        """The version that the project uses, then all others that it ran through, the one that ran last first."""
        own = (project.pipeline, project.pipeline_digest)
        versions = dict.fromkeys((own, *self.records.versions_used(project.name)))
        return tuple(UsedPipeline(*each, partial(self.resources.pipeline_version, *each)) for each in versions)

    def pipeline_of(self, project: str, pipeline: str | None = None) -> Pipeline:
        """The version of the project's pipeline, or of another one that it ran through. Raises NotFound."""
        found = self.records.project(project)
        return self.pinned(found) if pipeline is None else named(self.used_pipelines(found), pipeline)[0].read()

    def pipeline_with(self, project: str, stage: str, pipeline: str | None = None) -> Pipeline:
        """The pipeline that has the stage: the project's own, or else the one of its others that ran last.

        With `pipeline`, the one of that name. Raises NotFound.
        """
        return with_stage(self.used_pipelines(self.records.project(project)), stage, pipeline)

    def project_lock(self, project: str, purpose: str) -> AbstractContextManager[None]:
        """Keep others from deciding about the project inside the block. Never hold it while bytes are copied.

        Raises ProjectConflict, naming the holder and its purpose, if another holds the lock for too long.
        """
        return self.records.project_lock(project, holder=self.actor.who, purpose=purpose)

    def require_may_act(self, project: str) -> None:
        """Raise Forbidden if the actor may only look at the project, NotFound if there is none, ProjectDeleted."""
        Permissions(self.records.database).require_may_act(self.actor, project)

    def require_permission(self, project: str) -> None:
        """The same for a project that may be deleted."""
        Permissions(self.records.database).require_permission(self.actor, project)

    def audit(self, action: str, project: str | None = None, **details: Any) -> None:
        """Record that the actor did this."""
        Audit(self.records.database).note(self.actor, action, project, **details)
