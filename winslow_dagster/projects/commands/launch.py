"""From what a person asks to a queued run: checked first, then stored, then launched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotFound, PipelineInvalid, ProjectConflict
from winslow_dagster.pipelines import Pipeline, keep_version, load_version
from winslow_dagster.projects.dagster_api.client import PROJECT_TAG, DagsterClient, Job, RunStatus
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.audit import Actor
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.domain.lineage import Lineage, in_order, upstream_of
from winslow_dagster.projects.domain.model import Attempt, Project, RunRecord, checked_name
from winslow_dagster.projects.domain.run_request import KnownFiles, RunRequest, RunScope, check_variables
from winslow_dagster.projects.inputs.resource_pool import POOL, PooledFile, Source
from winslow_dagster.projects.inputs.uploads import contents, put, same_content, size_of
from winslow_dagster.projects.inputs.validation import check_input, check_names
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import BytesMoved

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.installation import Installation

UploadBegins = Callable[[str, int], BytesMoved]
"""Told an input's name and size when its copy begins; what it gives is told the bytes moved."""
PipelineVersion = Literal["pinned", "current"]
REQUESTER_TAG = "winslow/requested_by"
SWEEP_TAG = "winslow/sweep"
ACTIVE: tuple[RunStatus, ...] = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
SHORT = 8
"""How many characters of a version's digest the job of a version that is no longer current has in its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What was asked. `pipeline` None: the one the project has.

    Without `start_from`, a project that exists goes on with what is missing or out of date. `carries_on`: with what its
    last run was told, too, where that did not come to its end and nobody ended it.
    """

    project: str
    actor: Actor
    pipeline: str | None = None
    inputs: Mapping[str, Source] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    start_from: tuple[str, ...] = ()
    stop_after: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    use: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = False
    pipeline_version: PipelineVersion = "pinned"
    carries_on: bool = False
    reason: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. `existing` is the project as it is; None where it is to be made."""

    pipeline: Pipeline
    digest: str
    existing: Project | None
    request: RunRequest
    uploads: dict[str, Source]


class Launching:
    """One submission on its way."""

    def __init__(self, actions: Installation, submission: LaunchRequest) -> None:
        self._actions = actions
        self._asked = submission
        self._records = actions.records

    def launch(self, upload: UploadBegins | None = None) -> str:
        """Check it, store what it brings, queue its run, and give the run's id. See `Installation.run`."""
        checked_name(self._asked.project)
        with self._records.project_lock(self._asked.project):
            plan = self._plan()
            dagit = self._actions.dagit()
            if plan.existing is not None:
                self._require_idle(dagit)
            job = self._job(dagit, plan.pipeline.name, plan.digest)
            self._prepare(plan, upload)
            return self._queue(dagit, job, plan, plan.request)

    def create(self, upload: UploadBegins | None = None) -> None:
        """Make the project, and run nothing. Raises ProjectConflict where it exists."""
        checked_name(self._asked.project)
        with self._records.project_lock(self._asked.project):
            existing = self._existing()
            pipeline, digest = self._version(existing)
            self._check_inputs(pipeline, pipeline.inputs)
            request = RunRequest(project=self._asked.project)
            self._prepare(Plan(pipeline, digest, None, request, dict(self._asked.inputs)), upload)

    def sweep(self, combinations: Sequence[Mapping[str, Mapping[str, Any]]]) -> tuple[str, ...]:
        """Queue one run a combination of settings, side by side; gives their ids."""
        with self._records.project_lock(self._asked.project):
            plan = self._plan()
            if plan.existing is None:
                raise NotFound(f"there is no project {self._asked.project!r}")
            requests = [
                RunRequest.checked(plan.pipeline, {**plan.request.model_dump(), "stages": dict(settings)})
                for settings in combinations
            ]
            for request in requests:
                self._check(plan.pipeline, plan.existing, request)
            dagit = self._actions.dagit()
            self._require_idle(dagit)
            job = self._job(dagit, plan.pipeline.name, plan.digest)
            sweep = uuid4().hex
            return tuple(self._queue(dagit, job, plan, request, sweep) for request in requests)

    def _prepare(self, plan: Plan, upload: UploadBegins | None) -> None:
        if plan.existing is None:
            self._records.create_project(
                self._asked.project,
                pipeline=plan.pipeline.name,
                pipeline_digest=plan.digest,
                env=dict(self._asked.env),
                created_by=self._asked.actor.who,
            )
            if self._asked.tags:
                Annotations(self._records.database).set_tags(self._asked.project, self._asked.tags)
        elif (plan.existing.pipeline, plan.existing.pipeline_digest) != (plan.pipeline.name, plan.digest):
            self._records.pin_pipeline(plan.existing.name, plan.pipeline.name, plan.digest)
        for name, given in plan.uploads.items():
            self._take_input(name, given, upload)

    def _queue(self, dagit: DagsterClient, job: Job, plan: Plan, request: RunRequest, sweep: str | None = None) -> str:
        launched_at = datetime.now(UTC)
        tags = {PROJECT_TAG: self._asked.project, REQUESTER_TAG: self._asked.actor.who}
        run_id = dagit.launch(job, request.run_config(), tags | ({} if sweep is None else {SWEEP_TAG: sweep}))
        self._records.record_run(
            RunRecord(
                run_id=run_id,
                project=self._asked.project,
                pipeline=plan.pipeline.name,
                pipeline_digest=plan.digest,
                launched_at=launched_at,
                requested_by=self._asked.actor.who,
                via=self._asked.actor.via,
                reason=self._asked.reason,
                sweep=sweep,
                **request.noted(),
            )
        )
        return run_id

    def _plan(self) -> Plan:
        """Everything that can be known beforehand is checked here; nothing is changed."""
        existing = self._existing()
        pipeline, digest = self._version(existing)
        there = existing.inputs if existing else {}
        self._check_inputs(pipeline, there)
        uploads = {name: given for name, given in self._asked.inputs.items() if not _same(there.get(name), given)}
        request = RunRequest.checked(pipeline, self._wanted(pipeline, existing, uploads))
        self._check(pipeline, existing, request)
        return Plan(pipeline, digest, existing, request, uploads)

    def _check(self, pipeline: Pipeline, existing: Project | None, request: RunRequest) -> None:
        """Whether the run can be: what it goes on from is there, and every variable has a value."""
        stored: dict[str, Attempt] = lineage_of(self._records, existing.name, pipeline).current if existing else {}
        scope = RunScope(pipeline, request)
        scope.check(stored)
        there = existing.inputs if existing else {}
        names = {name: manifest.files[0].path for name, manifest in there.items() if len(manifest.files) == 1}
        answered = {
            each.stage: each.variables
            for each in (Answers(self._records.database).of_project(existing.name) if existing else ())
            if each.accepted and each.pipeline == pipeline.name
        }
        check_variables(
            pipeline,
            [name for name in scope.running(stored) if name in answered or not _will_ask(pipeline, name)],
            request,
            existing.env if existing else self._asked.env,
            KnownFiles(names | {name: _name_of(given) for name, given in self._asked.inputs.items()}, answered),
        )

    def _wanted(self, pipeline: Pipeline, existing: Project | None, uploads: Mapping[str, Source]) -> dict[str, Any]:
        """The request as it was asked, completed by what a project that exists has still to do."""
        asked = {
            "project": self._asked.project,
            "start_from": self._asked.start_from,
            "stop_after": self._asked.stop_after,
            "env": dict(self._asked.env) if existing else {},
            "stages": {name: dict(changed) for name, changed in self._asked.settings.items()},
            "use": dict(self._asked.use),
            "reuse": self._asked.reuse,
        }
        if existing is None:
            return asked
        lineage = lineage_of(self._records, existing.name, pipeline)
        if not lineage.attempts:
            return self._going_on(asked, existing, pipeline)
        roots = [stage.name for stage in pipeline.stages if not stage.after]
        replaced = sorted(name for name in uploads if name in existing.inputs)
        where = f"project {existing.name}"
        if replaced and not set(self._asked.start_from) & set(roots):
            raise ProjectConflict(
                f"the project has another file as {', '.join(replaced)}",
                where=where,
                expected="the same content as before",
                remedy=_start_again(existing, pipeline),
            )
        if replaced:
            # With its inputs all of it is new, also beside the branch of the stage that was named.
            return {**asked, "start_from": ()}
        if self._asked.start_from:
            return self._going_on(asked, existing, pipeline)
        last = self._unfinished(existing, pipeline)
        stop = self._asked.stop_after or (last.stop_after if last else None)
        everything = frozenset(stage.name for stage in pipeline.stages)
        reached = everything if stop is None else upstream_of(pipeline, stop) | {stop}
        wanted = (set(lineage.to_run) | self._not_redone(last, lineage)) & reached - set(self._asked.use)
        to_run = [stage.name for stage in in_order(pipeline) if stage.name in wanted]
        if not to_run:
            raise ProjectConflict(
                f"every stage{f' up to {stop}' if stop else ''} has run, and nothing is out of date",
                where=where,
                remedy=_start_again(existing, pipeline),
            )
        # Those that follow others of them run again with those.
        starts = [name for name in to_run if not upstream_of(pipeline, name) & set(to_run)]
        return self._going_on({**asked, "start_from": starts}, existing, pipeline)

    @staticmethod
    def _not_redone(last: RunRecord | None, lineage: Lineage) -> set[str]:
        """What the unfinished run was to make again, and has not, though earlier outputs of it fit."""
        starts = [] if last is None or last.start_from is None else last.start_from.split(", ")
        if last is None or not starts:
            return set()
        made = {each.stage for each in lineage.attempts if each.run_id == last.run_id and each.outcome == "succeeded"}
        redone = {
            stage.name
            for stage in lineage.pipeline.stages
            if stage.name in starts or upstream_of(lineage.pipeline, stage.name) & set(starts)
        }
        return redone - made

    def _unfinished(self, existing: Project, pipeline: Pipeline) -> RunRecord | None:
        """The project's last run, where it is carried on: it did not come to its end, and nobody ended it."""
        last = self._records.run(existing.latest_run) if existing.latest_run and self._asked.carries_on else None
        if last is None or last.outcome not in {"paused", "awaiting_input", "failed"}:
            return None
        return last if last.pipeline == pipeline.name and last.sweep is None else None

    def _going_on(self, asked: dict[str, Any], existing: Project, pipeline: Pipeline) -> dict[str, Any]:
        """With what the unfinished run was told; what is said now wins."""
        last = self._unfinished(existing, pipeline)
        if last is None:
            return asked
        told = last.settings
        asked["env"] = {**told.get("env", {}), **asked["env"]}
        asked["reuse"] = asked["reuse"] or told.get("reuse", False)
        stop = last.stop_after
        if stop is not None and set(asked["start_from"]) <= upstream_of(pipeline, stop) | {stop}:
            asked["stop_after"] = asked["stop_after"] or stop
        bare = RunRequest.checked(pipeline, {**asked, "stages": {}})
        running = RunScope(pipeline, bare).running(lineage_of(self._records, existing.name, pipeline).current)
        for stage, changed in told.get("stages", {}).items():
            if stage in running:
                now = asked["stages"].get(stage, {})
                env = {**changed.get("env", {}), **now.get("env", {})}
                asked["stages"][stage] = {**changed, **now, **({"env": env} if env else {})}
        return asked

    def _existing(self) -> Project | None:
        try:
            return self._records.project(self._asked.project)
        except NotFound:
            return None

    def _version(self, existing: Project | None) -> tuple[Pipeline, str]:
        versions_dir = self._actions.settings.versions_dir
        same = existing is not None and self._asked.pipeline in {None, existing.pipeline}
        if existing is not None and same and self._asked.pipeline_version == "pinned":
            return self._actions.pinned(existing), existing.pipeline_digest
        name = self._asked.pipeline or (existing.pipeline if existing else None)
        if name is None:
            raise NotFound(f"there is no project {self._asked.project!r}", remedy=Action("list_projects"))
        digest = keep_version(self._actions.pipeline(name).path, versions_dir)
        return load_version(versions_dir, name, digest), digest

    def _require_idle(self, dagit: DagsterClient) -> None:
        """Raise ProjectConflict while a run of the project is in progress: the second of two people is told."""
        project = self._asked.project
        active = {run.run_id: run for run in dagit.runs(project=project, statuses=ACTIVE)}
        open_runs = self._records.open_runs(project)
        active |= {
            run_id: run for run_id, run in dagit.runs_by_id(r.run_id for r in open_runs).items() if not run.ended
        }
        if not active:
            return
        run = next(iter(active.values()))
        noted = self._records.run(run.run_id)
        by = f", started by {noted.requested_by} at {noted.launched_at:%H:%M:%S} UTC" if noted else ""
        raise ProjectConflict(
            f"a run is in progress ({run.run_id}, {run.status.lower()}{by})",
            where=f"project {project}",
            remedy=Action("cancel_project", {"project": project}),
        )

    def _job(self, dagit: DagsterClient, name: str, digest: str) -> Job:
        """The job of exactly this version. The code server reads the files again where it does not have it yet."""
        names = (name, f"{name}__{digest[:SHORT]}")
        try:
            found = _of_version(dagit, names, digest)
        except PipelineInvalid:
            # What could not be loaded then may be mended now; the reload says so if not.
            found = None
        if found is None:
            for location in dagit.locations():
                dagit.reload(location)
            found = _of_version(dagit, names, digest)
        if found is None:
            raise NotFound(
                f"the code server has no job of version {digest[:SHORT]} of {name}",
                where=f"project {self._asked.project}",
                remedy="Do the services use the same WINSLOW_HOME and WINSLOW_PIPELINES_DIR? End and start them again",
            )
        return found

    def _check_inputs(self, pipeline: Pipeline, there: Collection[str]) -> None:
        check_names(pipeline, self._asked.inputs, there)
        for name, given in self._asked.inputs.items():
            asked = pipeline.inputs[name]
            if isinstance(given, PooledFile):
                self._actions.pool.check(given, name, asked)
            else:
                check_input(name, given, asked)

    def _take_input(self, name: str, given: Source, upload: UploadBegins | None) -> None:
        """A file of the pool is in the store already; any other is copied there."""
        if isinstance(given, PooledFile):
            manifest, origin = given.manifest, f"{POOL}{given.name}"
        else:
            address = f"projects/{self._asked.project}/inputs/{name}/{uuid4().hex}"
            moved = upload(name, size_of(given)) if upload else None
            manifest = put(self._actions.store, given, address, self._actions.settings.home / "incoming", moved)
            origin = str(given.absolute())
        added_by = self._asked.actor.who
        self._records.add_input(self._asked.project, name, manifest, original_path=origin, added_by=added_by)


def _start_again(project: Project, pipeline: Pipeline) -> Action:
    first = next(stage.name for stage in pipeline.stages if not stage.after)
    return Action("start_from_stage", {"pipeline": pipeline.name, "project": project.name, "stage": first})


def _same(manifest: Manifest | None, given: Source) -> bool:
    """Whether a project's input has this content already."""
    if isinstance(given, PooledFile):
        return manifest is not None and contents(manifest.files) == contents(given.manifest.files)
    return same_content(manifest, given)


def _name_of(given: Source) -> str:
    return given.file_name if isinstance(given, PooledFile) else given.name


def told(submission: LaunchRequest) -> dict[str, Any]:
    """What was asked, as the audit keeps it."""
    return {
        "pipeline": submission.pipeline,
        "inputs": {
            name: f"{POOL}{given.name}" if isinstance(given, PooledFile) else str(given)
            for name, given in submission.inputs.items()
        },
        "env": dict(submission.env),
        "start_from": list(submission.start_from),
        "stop_after": submission.stop_after,
        "settings": {stage: dict(changed) for stage, changed in submission.settings.items()},
        "use": dict(submission.use),
        "reuse": submission.reuse or None,
        "reason": submission.reason,
    }


def _will_ask(pipeline: Pipeline, stage: str) -> bool:
    """Whether the stage's variables may come with an answer that is not there yet."""
    return pipeline.stage(stage).needs_input is not None


def _of_version(dagit: DagsterClient, names: tuple[str, ...], digest: str) -> Job | None:
    there = set(dagit.job_names())
    jobs = (dagit.job(name) for name in names if name in there)
    return next((job for job in jobs if job.digest == digest), None)
