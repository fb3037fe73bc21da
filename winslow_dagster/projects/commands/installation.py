"""What a person can do with pipelines and projects. The command line and the Python API are both made of these."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

from winslow_dagster.actions import Action
from winslow_dagster.engines.engine import Engine
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.errors import NotFound
from winslow_dagster.pipelines import Catalogue, LoadedPipeline, Pipeline, load, load_version, nearest
from winslow_dagster.pipelines.catalogue import pipeline_names
from winslow_dagster.projects.commands.launch import Launching, LaunchRequest, PipelineVersion, UploadBegins, told
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.audit import Actor, Audit
from winslow_dagster.projects.database.runs_and_attempts import ProjectRecords
from winslow_dagster.projects.domain.model import Project
from winslow_dagster.projects.domain.views import ProjectStatus, ProjectSummary
from winslow_dagster.projects.inputs.resource_pool import Pool, sources
from winslow_dagster.projects.retention.cleanup import Cleanup
from winslow_dagster.projects.status.project_list import list_projects
from winslow_dagster.projects.status.project_status import StatusReader, changes_since
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.store import Store


class Services(Protocol):
    """The processes behind an installation, as actions need them."""

    @property
    def address(self) -> str:
        """Where the web server listens."""

    def running(self) -> bool:
        """Whether it answers."""

    def for_a_while(self) -> AbstractContextManager[str]:
        """The services, started where none run, and ended again then."""


class Installation:
    """An installation. A context manager: services that were started for it end with it."""

    def __init__(self, settings: Settings, services: Services, actor: Actor | None = None) -> None:
        self.settings = settings
        self.actor = actor or Actor()
        self._services = services
        self._held = contextlib.ExitStack()
        self._serving = False
        # A version never changes once it is kept, and a page asks for it several times.
        self._pinned: dict[tuple[str, str], Pipeline] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the services that were started for this, and give the connections back."""
        self._serving = False
        self._held.close()

    @cached_property
    def records(self) -> ProjectRecords:
        """The project tables."""
        records = ProjectRecords.open(self.settings.database_url)
        self._held.callback(self._forget_records)
        return records

    @property
    def overview(self) -> StatusReader:
        """How projects stand."""
        return StatusReader(self.records, self.engine, self._dagit_if_there)

    @property
    def audit(self) -> Audit:
        """Who did what."""
        return Audit(self.records.database)

    @property
    def cleanup(self) -> Cleanup:
        """How much room everything takes, and what may go."""
        return Cleanup(self.records, self.store, self.settings, self.engine)

    @property
    def pool(self) -> Pool:
        """Files that any project may take as an input: `inputs={"video": "pool:NAME"}`."""
        return Pool(self.records.database, self.store, self.settings.home / "incoming")

    @property
    def annotations(self) -> Annotations:
        """What people write on projects."""
        return Annotations(self.records.database)

    @cached_property
    def store(self) -> Store:
        """Where inputs and outputs live."""
        return open_store(self.settings.store_url, self.settings.s3_endpoint)

    @cached_property
    def engine(self) -> Engine:
        """Where stages run."""
        return open_engine(self.settings)

    @property
    def services_run(self) -> bool:
        """Whether the services answer now."""
        return self._services.running()

    def dagit(self) -> DagsterClient:
        """Dagster's web server; the services are started for a while where they do not run."""
        if not self._serving:
            self._held.enter_context(self._services.for_a_while())
            self._serving = True
        return DagsterClient(self._services.address)

    def pipelines(self) -> Catalogue:
        """All pipeline files, with what is wrong with those that cannot be used."""
        return Catalogue.read(self.settings.pipelines_dir)

    def pipeline(self, name: str) -> LoadedPipeline:
        """One pipeline. Raises NotFound, and PipelineInvalid with everything that is wrong with its file."""
        files = pipeline_names(self.settings.pipelines_dir)
        if name not in files:
            meant = nearest(name, files)
            raise NotFound(
                f"there is no pipeline {name!r}",
                where=str(self.settings.pipelines_dir),
                expected=f"one of {', '.join(files)}" if files else "",
                remedy=f"Did you mean {meant}?" if meant else Action("list_pipelines"),
            )
        return load(files[name])

    def create(  # noqa: PLR0913  # what a person may say of a project; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, str | Path] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        tags: Iterable[str] = (),
        notes: str = "",
        upload: UploadBegins | None = None,
    ) -> ProjectHandle:
        """Make a project, and run nothing yet. What it must bring may come later, with `run`.

        Raises NotFound, PipelineInvalid, InputRejected, ProjectConflict where there is one of that name, StoreError.
        """
        Launching(
            self,
            LaunchRequest(
                project=project,
                actor=self.actor,
                pipeline=pipeline,
                inputs=sources(self.pool, inputs or {}),
                env=dict(env or {}),
                tags=tuple(tags),
            ),
        ).create(upload)
        handle = ProjectHandle(self, project)
        if notes:
            self.annotations.set_notes(project, notes)
        self.audit.note(self.actor, "create", project, pipeline=pipeline, inputs=_said(inputs), env=dict(env or {}))
        return handle

    def run(  # noqa: PLR0913  # what a person may say of a run; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, str | Path] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        start_from: str | Sequence[str] | None = None,
        stop_after: str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        use: Mapping[str, str] | None = None,
        reuse: bool = False,
        pipeline_version: PipelineVersion = "pinned",
        reason: str = "",
        tags: Iterable[str] = (),
        upload: UploadBegins | None = None,
    ) -> Run:
        """Run the pipeline for the project, and give the run, which goes on by itself.

        A project that does not exist is made: `inputs` are copied into the store, or are `pool:NAME`; `env` becomes the
        project's own. One that exists goes on with the version of the pipeline it has, from its first stages that are
        missing or out of date, or from `start_from`; `env` is then this run's. Another pipeline becomes its own.
        `settings` changes stages for this run: `{"detect_vehicles": {"env": {"THRESHOLD": "0.4"}, "memory": "8GiB"}}`.
        `use` names the attempts (task ids) whose outputs stages hand on, instead of the latest. With `reuse`, a stage
        takes the outputs of an equal attempt of any project, where there is one. `upload` is told of each file that is
        copied: its name and size; it gives back what is called with the bytes moved.

        Raises NotFound, PipelineInvalid, InputRejected, VariableMissing, ProjectConflict, StoreError,
        ServiceUnavailable; before anything is copied wherever that can be known before.
        """
        return self.launch(
            "run",
            LaunchRequest(
                project=project,
                actor=self.actor,
                pipeline=pipeline,
                inputs=sources(self.pool, inputs or {}),
                env=dict(env or {}),
                start_from=(start_from,) if isinstance(start_from, str) else tuple(start_from or ()),
                stop_after=stop_after,
                settings={stage: dict(changed) for stage, changed in (settings or {}).items()},
                use=dict(use or {}),
                reuse=reuse,
                pipeline_version=pipeline_version,
                reason=reason,
                tags=tuple(tags),
            ),
            upload,
        )

    def projects(self) -> tuple[ProjectSummary, ...]:
        """All projects by name, with their states."""
        return list_projects(self.records, self._dagit_if_there)

    def project(self, name: str) -> ProjectHandle:
        """One project. Raises NotFound."""
        self.records.project(name)
        return ProjectHandle(self, name)

    def status(self, project: str) -> ProjectStatus:
        """The project as it is now; what Dagster knows is left out where its services do not run. Raises NotFound."""
        found = self.records.project(project)
        pipeline = self.pinned(found)
        changed = changes_since(pipeline, found.pipeline_digest, lambda: self.pipeline(found.pipeline))
        return self.overview.status(found, pipeline, changed)

    def pinned(self, project: Project) -> Pipeline:
        """The version of the pipeline that the project was made with."""
        key = (project.pipeline, project.pipeline_digest)
        if key not in self._pinned:
            self._pinned[key] = load_version(self.settings.versions_dir, *key)
        return self._pinned[key]

    def launch(self, action: str, submission: LaunchRequest, upload: UploadBegins | None = None) -> Run:
        """Launch what was asked, and note who did. See `run`."""
        run = Run(self, submission.project, Launching(self, submission).launch(upload))
        self.audit.note(self.actor, action, submission.project, run_id=run.run_id, **told(submission))
        return run

    def _dagit_if_there(self) -> DagsterClient | None:
        """The web server, where it runs; nothing is started for a look."""
        return DagsterClient(self._services.address) if self._serving or self._services.running() else None

    def _forget_records(self) -> None:
        self.records.close()
        del self.records


def _said(inputs: Mapping[str, str | Path] | None) -> dict[str, str]:
    return {name: str(path) for name, path in (inputs or {}).items()}
