"""From a launch request to a queued run: checked first, then stored, then queued.

The project's lock is held while something is decided, never while bytes are copied: a pause never waits for uploads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, PipelineInvalid, ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.disk_room import require_disk
from winslow_dagster.projects.commands.launch_plan import LaunchPlan, LaunchPlanner
from winslow_dagster.projects.commands.launch_request import LaunchRequest
from winslow_dagster.projects.commands.run import Run
from winslow_dagster.projects.commands.secrets import with_references
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG, REQUESTER_TAG, DagsterClient, Job, RunStatus
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.domain.model import RunRecord, checked_name
from winslow_dagster.projects.domain.queue_rules import SWEEP_LIMIT_TAG
from winslow_dagster.projects.domain.run_request import RunRequest
from winslow_dagster.projects.inputs.input_storage import UploadStarted
from winslow_dagster.projects.inputs.permitted_paths import require_permitted

SWEEP_TAG = "winslow/sweep"
MOST_CONCURRENT = 8
"""The largest limit that a sweep can have."""
ACTIVE: tuple[RunStatus, ...] = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
SHORT = 8
"""Characters of a version's digest in the name of its job, once it is no longer the current version."""


def launch(context: Context, action: str, request: LaunchRequest, upload: UploadStarted | None = None) -> Run:
    """Launch the run, and record who requested it as `action`. See `Installation.run`."""
    _require_may_launch(context, request.project)
    require_permitted(context.actor, context.settings, request.inputs)
    request = with_references(context, request)
    run_id = Launch(context, request).launch(upload)
    context.audit(action, request.project, run_id=run_id, **request.audit_details())
    return Run(context, request.project, run_id)


def create(context: Context, request: LaunchRequest, upload: UploadStarted | None = None) -> None:
    """Create the project, and record who did. See `Installation.create`."""
    context.actor.require("operator")
    require_permitted(context.actor, context.settings, request.inputs)
    request = with_references(context, request)
    Launch(context, request).create(upload)
    details = request.audit_details()
    context.audit("create", request.project, **{name: details[name] for name in ("pipeline", "inputs", "env")})


def _require_may_launch(context: Context, project: str) -> None:
    context.actor.require("operator")
    if context.records.find_project(project) is not None:
        context.require_may_act(project)


class Launch:
    """Carries out one launch request."""

    def __init__(self, context: Context, request: LaunchRequest) -> None:
        self._context = context
        self._records = context.records
        self._request = request
        self._project = checked_name(request.project)
        self._planner = LaunchPlanner(context, request)

    def launch(self, upload: UploadStarted | None = None) -> str:
        """Check the request, store what it brings, queue its run, and return the run's id."""
        plan = self._planner.plan()
        dagster = self._context.dagster()
        if plan.existing is not None:
            self._require_idle(dagster)
        self._require_room(plan)
        job = self._job(dagster, plan)
        if plan.existing is None:
            try:
                self._create(plan)
            except ProjectConflict:  # somebody else created it a moment ago
                plan = self._planner.plan()
        stored = self._planner.inputs.put(self._project, plan.pipeline, plan.new_inputs, upload)
        try:
            with self._context.project_lock(self._project, "starting a run"):
                if plan.existing is not None or self._records.runs(self._project):
                    # Anything may have happened to the project while its inputs were stored.
                    fresh = self._planner.plan(stored)
                    job = job if fresh.digest == plan.digest else self._job(dagster, fresh)
                    plan = fresh
                self._require_idle(dagster)
                self._pin(plan)
                self._planner.inputs.take_into_use(self._project, stored, self._context.actor.who)
                return self._queue(dagster, job, plan, plan.request)
        finally:
            self._planner.inputs.discard(stored)

    def create(self, upload: UploadStarted | None = None) -> None:
        """Create the project, and run nothing. Raises ProjectConflict if it exists."""
        pipeline, digest = self._planner.version(self._planner.existing_project())
        self._planner.inputs.check(pipeline, pipeline.inputs)
        request = RunRequest(project=self._project)
        plan = LaunchPlan(pipeline, digest, None, request, dict(self._request.inputs))
        self._require_room(plan)
        self._create(plan)
        stored = self._planner.inputs.put(self._project, plan.pipeline, plan.new_inputs, upload)
        try:
            self._planner.inputs.take_into_use(self._project, stored, self._context.actor.who)
        finally:
            self._planner.inputs.discard(stored)

    def sweep(
        self, combinations: Sequence[Mapping[str, Mapping[str, Any]]], max_concurrent: int | None = None
    ) -> tuple[str, ...]:
        """Queue one run for each combination of overrides; returns their ids."""
        with self._context.project_lock(self._project, "starting a sweep"):
            plan = self._planner.plan()
            if plan.existing is None:
                raise NotFound(f"there is no project {self._project!r}", remedy=Action("list_projects"))
            requests = [
                RunRequest.checked(plan.pipeline, {**plan.request.model_dump(), "stages": dict(overrides)})
                for overrides in combinations
            ]
            for request in requests:
                self._planner.check(plan.pipeline, plan.existing, request)
            self._require_room(plan)
            dagster = self._context.dagster()
            self._require_idle(dagster)
            job = self._job(dagster, plan)
            self._pin(plan)
            sweep = uuid4().hex
            tags = {SWEEP_TAG: sweep}
            if max_concurrent is not None:
                tags[f"{SWEEP_LIMIT_TAG}{max_concurrent}"] = sweep
            return tuple(self._queue(dagster, job, plan, request, tags) for request in requests)

    def _create(self, plan: LaunchPlan) -> None:
        self._records.create_project(
            self._project,
            pipeline=plan.pipeline.name,
            pipeline_digest=plan.digest,
            env=self._request.project_env,
            created_by=self._context.actor.who,
        )
        if self._request.tags:
            Annotations(self._records.database).set_tags(self._project, self._request.tags)

    def _require_room(self, plan: LaunchPlan) -> None:
        """Raise QuotaExceeded if the project, or everything of its owner, would take too much space, DiskFull."""
        owner = plan.existing.owner if plan.existing is not None else self._context.actor.who
        more_bytes = self._planner.inputs.bytes_of(plan.new_inputs)
        self._context.quotas.require_room(self._project, owner, more_bytes)
        require_disk(self._context, plan.pipeline.name, self._planner.running(plan), more_bytes)

    def _pin(self, plan: LaunchPlan) -> None:
        project = plan.existing
        if project is not None and (project.pipeline, project.pipeline_digest) != (plan.pipeline.name, plan.digest):
            self._records.pin_pipeline(project.name, plan.pipeline.name, plan.digest)

    def _queue(
        self,
        dagster: DagsterClient,
        job: Job,
        plan: LaunchPlan,
        request: RunRequest,
        of_sweep: Mapping[str, str] | None = None,
    ) -> str:
        actor = self._context.actor
        launched_at = self._context.clock()
        sweep_tags = of_sweep or {}
        tags = {PROJECT_TAG: self._project, REQUESTER_TAG: actor.who, **sweep_tags}
        run_id = dagster.launch(job, request.run_config(), tags)
        self._records.record_run(
            RunRecord(
                run_id=run_id,
                project=self._project,
                pipeline=plan.pipeline.name,
                pipeline_digest=plan.digest,
                launched_at=launched_at,
                requested_by=actor.who,
                via=actor.via,
                reason=self._request.reason,
                sweep=sweep_tags.get(SWEEP_TAG),
                **request.record_fields(),
            )
        )
        return run_id

    def _require_idle(self, dagster: DagsterClient) -> None:
        """Raise ProjectConflict while a run of the project is in progress, with who started it."""
        active = {run.run_id: run for run in dagster.runs(project=self._project, statuses=ACTIVE)}
        open_runs = self._records.open_runs(self._project)
        known = dagster.runs_by_id(run.run_id for run in open_runs)
        active |= {run_id: run for run_id, run in known.items() if not run.ended}
        if not active:
            return
        run = next(iter(active.values()))
        record = self._records.run(run.run_id)
        by = f", started by {record.requested_by} at {format_time(record.launched_at)}" if record else ""
        raise ProjectConflict(
            f"a run is in progress ({run.run_id}, {run.status.lower()}{by})",
            where=f"project {self._project}",
            remedy=Action("cancel_project", {"project": self._project}),
        )

    def _job(self, dagster: DagsterClient, plan: LaunchPlan) -> Job:
        """The job of exactly this version. The code server reads the files again if it does not have it yet."""
        name, digest = plan.pipeline.name, plan.digest
        names = (name, f"{name}__{digest[:SHORT]}")
        try:
            found = _job_of_version(dagster, names, digest)
        except PipelineInvalid:
            # The file may have been corrected since it was loaded; the reload fails if not.
            found = None
        if found is None:
            for location in dagster.locations():
                dagster.reload(location)
            found = _job_of_version(dagster, names, digest)
        if found is None:
            raise NotFound(
                f"the code server has no job for version {digest[:SHORT]} of {name}",
                where=f"project {self._project}",
                remedy="Restart the services with the same WINSLOW_HOME and WINSLOW_PIPELINES_DIR",
            )
        return found


def _job_of_version(dagster: DagsterClient, names: tuple[str, ...], digest: str) -> Job | None:
    existing = set(dagster.job_names())
    jobs = (dagster.job(name) for name in names if name in existing)
    return next((job for job in jobs if job.digest == digest), None)
