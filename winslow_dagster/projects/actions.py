"""What a person can do with pipelines and projects. The command line and the Python API are both made of these."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from winslow_dagster.engines.engine import Engine, explanation
from winslow_dagster.engines.opening import open_engine
from winslow_dagster.errors import NotFound, PipelineInvalid, ProjectConflict
from winslow_dagster.pipelines import Catalogue, LoadedPipeline, Pipeline, changes, load, load_version, nearest
from winslow_dagster.pipelines.catalogue import pipeline_names
from winslow_dagster.projects.dagit import Dagit, DagsterRun
from winslow_dagster.projects.handles import ProjectHandle, Run
from winslow_dagster.projects.launching import Launching, Submission, UploadBegins
from winslow_dagster.projects.records import ProjectRecords
from winslow_dagster.projects.results import InputView, ProjectStatus
from winslow_dagster.projects.runs import latest_run, queue_reason, run_failure
from winslow_dagster.projects.state import NO_SERVICES, Sight, project_state, stage_views
from winslow_dagster.projects.values import Attempt, Project
from winslow_dagster.settings import Settings
from winslow_dagster.storage.opening import open_store
from winslow_dagster.storage.store import Store

PipelineVersion = Literal["pinned", "current"]


class Services(Protocol):
    """The processes behind an installation, as actions need them."""

    @property
    def address(self) -> str:
        """Where the web server listens."""

    def running(self) -> bool:
        """Whether it answers."""

    def for_a_while(self) -> AbstractContextManager[str]:
        """The services, started where none run, and ended again then."""


class Actions:
    """An installation. A context manager: services that were started for it end with it."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self.settings = settings
        self._services = services
        self._held = contextlib.ExitStack()
        self._serving = False

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

    def dagit(self) -> Dagit:
        """Dagster's web server; the services are started for a while where they do not run."""
        if not self._serving:
            self._held.enter_context(self._services.for_a_while())
            self._serving = True
        return Dagit(self._services.address)

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
                remedy=f"Did you mean {meant}?" if meant else "`winslow pipelines list` lists them",
            )
        return load(files[name])

    def run(  # noqa: PLR0913  # what a person may say of a run; all but the first three by name
        self,
        pipeline: str,
        project: str,
        inputs: Mapping[str, str | Path] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        start_from: str | None = None,
        stop_after: str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        pipeline_version: PipelineVersion = "pinned",
        upload: UploadBegins | None = None,
    ) -> Run:
        """Run the pipeline for the project, and give the run, which goes on by itself.

        A project that does not exist is made: `inputs` are copied into the store, `env` becomes the project's own. One
        that exists goes on with the version of the pipeline it was made with, from its first stage that is missing or
        out of date, or from `start_from`; `env` is then this run's. `settings` changes stages for this run:
        `{"detect_vehicles": {"env": {"THRESHOLD": "0.4"}, "memory": "8GiB"}}`. `upload` is told of each file that is
        copied: its name and size; it gives back what is called with the bytes moved.

        Raises NotFound, PipelineInvalid, InputRejected, VariableMissing, ProjectConflict, StoreError,
        ServiceUnavailable; before anything is copied wherever that can be known before.
        """
        submission = Submission(
            pipeline=pipeline,
            project=project,
            inputs={name: Path(path).expanduser() for name, path in (inputs or {}).items()},
            env=dict(env or {}),
            start_from=start_from,
            stop_after=stop_after,
            settings={stage: dict(changed) for stage, changed in (settings or {}).items()},
            pipeline_version=pipeline_version,
            requested_by=getpass.getuser(),
        )
        return Run(self, project, Launching(self, submission).launch(upload))

    def projects(self) -> tuple[ProjectStatus, ...]:
        """All projects by name, each as it is now."""
        return tuple(self.status(project.name) for project in self.records.projects())

    def project(self, name: str) -> ProjectHandle:
        """One project. Raises NotFound."""
        self.records.project(name)
        return ProjectHandle(self, name)

    def status(self, project: str) -> ProjectStatus:
        """The project as it is now; what Dagster knows is left out where its services do not run. Raises NotFound."""
        dagit = Dagit(self._services.address) if self._serving or self._services.running() else None
        found = self.records.project(project)
        pipeline = self.pinned(found)
        attempts = tuple(each for each in self.records.attempts(project) if each.pipeline == found.pipeline)
        run = latest_run(self.records, dagit, project)
        views = stage_views(self._sight(pipeline, attempts), run)
        state, reason = project_state(views, run, self._reasons(dagit, run, project))
        return ProjectStatus(
            project=found.name,
            pipeline=found.pipeline,
            pipeline_digest=found.pipeline_digest,
            pipeline_changes=self._changes(found, pipeline),
            state=state,
            reason=reason,
            run_id=run.run_id if run else next((noted.run_id for noted in self.records.runs(project)), None),
            created_at=found.created_at,
            created_by=found.created_by,
            env=found.env,
            inputs=tuple(
                InputView(
                    name=each.name,
                    original_path=each.original_path,
                    version=each.version,
                    size_bytes=each.manifest.size_bytes,
                    added_at=each.added_at,
                    added_by=each.added_by,
                )
                for each in self.records.inputs(project)
            ),
            stages=views,
        )

    def cancel(self, project: str) -> Run:
        """Ask that the project's run end, and its stages with it. Raises NotFound, ProjectConflict."""
        self.records.project(project)
        dagit = self.dagit()
        run = latest_run(self.records, dagit, project)
        if run is None or run.ended:
            raise ProjectConflict(
                "nothing runs that could be cancelled", where=f"project {project}", remedy=f"`winslow status {project}`"
            )
        if run.status != "CANCELING":
            dagit.terminate(run.run_id)
        return Run(self, project, run.run_id)

    def pinned(self, project: Project) -> Pipeline:
        """The version of the pipeline that the project was made with."""
        return load_version(self.settings.versions_dir, project.pipeline, project.pipeline_digest)

    def _changes(self, project: Project, pipeline: Pipeline) -> tuple[str, ...]:
        try:
            current = self.pipeline(project.pipeline)
        except NotFound:
            return ("its pipeline file is gone",)
        except PipelineInvalid:
            return (f"its pipeline file cannot be used now: `winslow pipelines check` says why ({project.pipeline})",)
        if current.digest == project.pipeline_digest:
            return ()
        return tuple(map(str, changes(pipeline, current.pipeline)))

    def _sight(self, pipeline: Pipeline, attempts: tuple[Attempt, ...]) -> Sight:
        return Sight(
            pipeline=pipeline,
            attempts=attempts,
            result_of=self.records.result,
            life_of=self.engine.status,
            why_waiting=lambda task_id: explanation(self.engine.status(task_id)),
        )

    def _reasons(self, dagit: Dagit | None, run: DagsterRun | None, project: str) -> dict[str, str]:
        if dagit is None:
            return {"unknown": NO_SERVICES} if self.records.runs(project) else {}
        if run is not None and run.status == "FAILURE":
            return {"failed": run_failure(dagit, run.run_id)}
        if run is not None and run.status in {"QUEUED", "NOT_STARTED"}:
            return {"queued": queue_reason(dagit, run)}
        return {}

    def _forget_records(self) -> None:
        self.records.close()
        del self.records
