"""From what a person asks to a queued run: checked first, then stored, then launched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from winslow_dagster.errors import NotFound, PipelineInvalid, ProjectConflict
from winslow_dagster.pipelines import Pipeline, keep_version, load_version
from winslow_dagster.projects.dagit import PROJECT_TAG, Dagit, Job
from winslow_dagster.projects.intake import check_inputs
from winslow_dagster.projects.request import RunRequest, RunScope, check_variables
from winslow_dagster.projects.runs import latest_run
from winslow_dagster.projects.state import first_to_run
from winslow_dagster.projects.uploading import put, same_content, size_of
from winslow_dagster.projects.values import Project, RunRecord, checked_name
from winslow_dagster.storage.store import BytesMoved

if TYPE_CHECKING:
    from winslow_dagster.projects.actions import Actions

UploadBegins = Callable[[str, int], BytesMoved]
"""Told an input's name and size when its copy begins; what it gives is told the bytes moved."""
SHORT = 8
"""How many characters of a version's digest the job of a version that is no longer current has in its name."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What was asked."""

    pipeline: str
    project: str
    inputs: dict[str, Path]
    env: dict[str, str]
    start_from: str | None
    stop_after: str | None
    settings: dict[str, dict[str, Any]]
    pipeline_version: Literal["pinned", "current"]
    requested_by: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. `existing` is the project as it is; None where it is to be made."""

    pipeline: Pipeline
    digest: str
    existing: Project | None
    request: RunRequest
    uploads: dict[str, Path]


class Launching:
    """One submission on its way. `launch` gives the run's id."""

    def __init__(self, actions: Actions, submission: Submission) -> None:
        self._actions = actions
        self._asked = submission
        self._records = actions.records

    def launch(self, upload: UploadBegins | None) -> str:
        """See `Actions.run`."""
        checked_name(self._asked.project)
        with self._records.alone_with(self._asked.project):
            plan = self._plan()
            dagit = self._actions.dagit()
            if plan.existing is not None:
                self._require_idle(dagit)
            job = self._job(dagit, plan)
            if plan.existing is None:
                self._records.create_project(
                    self._asked.project,
                    pipeline=plan.pipeline.name,
                    pipeline_digest=plan.digest,
                    env=self._asked.env,
                    created_by=self._asked.requested_by,
                )
            elif plan.existing.pipeline_digest != plan.digest:
                self._records.pin_pipeline(plan.existing.name, plan.pipeline.name, plan.digest)
            for name, path in plan.uploads.items():
                self._store_input(name, path, upload)
            launched_at = datetime.now(UTC)
            run_id = dagit.launch(job, plan.request.run_config(), {PROJECT_TAG: self._asked.project})
            self._records.note_run(
                RunRecord(
                    run_id=run_id,
                    project=self._asked.project,
                    pipeline=plan.pipeline.name,
                    pipeline_digest=plan.digest,
                    launched_at=launched_at,
                    requested_by=self._asked.requested_by,
                    start_from=plan.request.start_from,
                    stop_after=plan.request.stop_after,
                    settings=plan.request.model_dump(mode="json", include={"env", "stages"}, exclude_defaults=True),
                )
            )
            return run_id

    def _plan(self) -> Plan:
        """Everything that can be known beforehand is checked here; nothing is changed."""
        existing = self._existing()
        pipeline, digest = self._version(existing)
        there = existing.inputs if existing else {}
        check_inputs(pipeline, self._asked.inputs, frozenset(there))
        uploads = {name: path for name, path in self._asked.inputs.items() if not same_content(there.get(name), path)}
        replaced = sorted(name for name in uploads if name in there)
        request = RunRequest.checked(
            pipeline,
            {
                "project": self._asked.project,
                "start_from": self._start(pipeline, existing, replaced),
                "stop_after": self._asked.stop_after,
                "env": self._asked.env if existing else {},
                "stages": self._asked.settings,
            },
        )
        stored = self._records.latest_outputs(existing.name) if existing else {}
        scope = RunScope(pipeline, request)
        scope.check(stored)
        names = {name: manifest.files[0].path for name, manifest in there.items() if len(manifest.files) == 1}
        check_variables(
            pipeline,
            scope.running(stored),
            request,
            existing.env if existing else self._asked.env,
            names | {name: path.name for name, path in self._asked.inputs.items()},
        )
        return Plan(pipeline, digest, existing, request, uploads)

    def _existing(self) -> Project | None:
        try:
            return self._records.project(self._asked.project)
        except NotFound:
            return None

    def _version(self, existing: Project | None) -> tuple[Pipeline, str]:
        versions_dir = self._actions.settings.versions_dir
        if existing is not None and existing.pipeline != self._asked.pipeline:
            raise ProjectConflict(
                f"the project belongs to the pipeline {existing.pipeline}",
                where=f"project {existing.name}",
                remedy="Give that pipeline, or make another project",
            )
        if existing is not None and self._asked.pipeline_version == "pinned":
            return self._actions.pinned(existing), existing.pipeline_digest
        digest = keep_version(self._actions.pipeline(self._asked.pipeline).path, versions_dir)
        return load_version(versions_dir, self._asked.pipeline, digest), digest

    def _start(self, pipeline: Pipeline, existing: Project | None, replaced: list[str]) -> str | None:
        """The stage to start from: the one asked for, or the first that is missing or out of date. None: all run."""
        asked = self._asked.start_from
        attempts = [
            each for each in self._records.attempts(existing.name) if each.pipeline == pipeline.name
        ] if existing else []  # fmt: skip
        if not attempts:
            return asked
        where = f"project {self._asked.project}"
        roots = [stage.name for stage in pipeline.stages if not stage.after]
        if replaced and asked not in roots:
            raise ProjectConflict(
                f"the project has another file as {', '.join(replaced)}",
                where=where,
                expected="the same content as before",
                remedy=f"To replace it, start again (--start-from {roots[0]}), or make another project",
            )
        if replaced:
            # With its inputs all of it is new, also beside the branch of the stage that was named.
            return None
        start = asked or first_to_run(pipeline, attempts)
        if start is None:
            raise ProjectConflict(
                "every stage has run, and nothing is out of date",
                where=where,
                remedy=f"To run again, say from where: --start-from {roots[0]}",
            )
        return start

    def _require_idle(self, dagit: Dagit) -> None:
        run = latest_run(self._records, dagit, self._asked.project)
        if run is not None and not run.ended:
            raise ProjectConflict(
                f"a run is in progress ({run.run_id}, {run.status.lower()})",
                where=f"project {self._asked.project}",
                remedy=f"Wait for it, or end it with `winslow cancel {self._asked.project}`",
            )

    def _job(self, dagit: Dagit, plan: Plan) -> Job:
        """The job of exactly this version. The code server reads the files again where it does not have it yet."""
        name = plan.pipeline.name
        names = (name, f"{name}__{plan.digest[:SHORT]}")
        try:
            found = _of_version(dagit, names, plan.digest)
        except PipelineInvalid:
            # What could not be loaded then may be mended now; the reload says so if not.
            found = None
        if found is None:
            for location in dagit.locations():
                dagit.reload(location)
            found = _of_version(dagit, names, plan.digest)
        if found is None:
            raise NotFound(
                f"the code server has no job of version {plan.digest[:SHORT]} of {name}",
                where=f"project {self._asked.project}",
                remedy="Do the services use the same WINSLOW_HOME and WINSLOW_PIPELINES_DIR? End and start them again",
            )
        return found

    def _store_input(self, name: str, path: Path, upload: UploadBegins | None) -> None:
        address = f"projects/{self._asked.project}/inputs/{name}/{uuid4().hex}"
        moved = upload(name, size_of(path)) if upload else None
        self._records.add_input(
            self._asked.project,
            name,
            put(self._actions.store, path, address, self._actions.settings.home / "incoming", moved),
            original_path=str(path.absolute()),
            added_by=self._asked.requested_by,
        )


def _of_version(dagit: Dagit, names: tuple[str, ...], digest: str) -> Job | None:
    there = set(dagit.job_names())
    jobs = (dagit.job(name) for name in names if name in there)
    return next((job for job in jobs if job.digest == digest), None)
