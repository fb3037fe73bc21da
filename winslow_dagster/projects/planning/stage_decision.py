"""Decides what a stage does in a run, without Dagster: skip, reuse outputs, hold, take over an equal attempt, or run.

The op of a stage calls `before_stage` first and `after_stage` last. Called again after a crash, both decide as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from winslow_dagster.errors import ProjectConflict
from winslow_dagster.formatting import format_time
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.database.holds import Hold, Holds
from winslow_dagster.projects.database.lineage_queries import chosen_outputs, lineage_of, outputs_in_use
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.database.runs import UNKNOWN_REQUESTER
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.lineage import Pick, upstream_of
from winslow_dagster.projects.domain.model import Attempt, Project, RunRecord
from winslow_dagster.projects.domain.questions import QuestionContext
from winslow_dagster.projects.domain.run_request import RunRequest, RunScope
from winslow_dagster.projects.planning.result_cache import ended_early, fingerprint, reusable
from winslow_dagster.projects.planning.stage_tasks import StageInRun, stage_task, task_id
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest

ImageDigest = Callable[[StageTask], str | None]
"""The digest of a task's image before it runs; None if it runs without an image."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The run does not reach the stage."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reused:
    """The stage does not run: earlier outputs are passed on."""

    manifest: Manifest
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """The stage does not start, and the run ends before it."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Started:
    """The stage runs. `taken_over` is the result if the outputs of an equal attempt are taken over instead."""

    task: StageTask
    fingerprint: str | None = None
    taken_over: StageResult | None = None
    reused_from: str | None = None


Entry = Skipped | Reused | Held | Started


@dataclass(frozen=True, slots=True)
class StageCall:
    """One stage's op in one run: `attempt` counts its retries from 1."""

    pipeline: Pipeline
    digest: str
    stage: Stage
    request: RunRequest
    run_id: str
    attempt: int

    @property
    def scope(self) -> RunScope:
        """Which stages the run's request runs."""
        return RunScope(self.pipeline, self.request)


class StageDecider:
    """Decides by the project tables. Raises what their classes raise."""

    def __init__(self, records: ProjectRecords, settings: Settings, image_digest: ImageDigest) -> None:
        self._records = records
        self._settings = settings
        self._holds = Holds(records.database)
        self._image_digest = image_digest

    def before_stage(self, call: StageCall, upstream: Mapping[str, Manifest]) -> Entry:
        """Decide what the stage does, given the outputs of its upstream stages."""
        scope, name = call.scope, call.stage.name
        self.record_unannounced_run(call, Actor(UNKNOWN_REQUESTER, via=UNKNOWN_REQUESTER))
        if name not in scope.wanted:
            return Skipped(f"the run stops after {call.request.stop_after}")
        if name not in scope.redone and (found := self._run_outputs(call, scope)) is not None:
            return found
        started = self._started(call)
        if started is not None:
            return started
        if (hold := self._hold(call, call.stage)) is not None:
            return Held(hold)
        return self._start(call, dict(upstream))

    def after_stage(self, call: StageCall, result: StageResult | None, successors: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the successors may start. `result` is None if the stage passed on earlier outputs."""
        wanted = [name for name in successors if name in call.scope.wanted]
        stopping = [] if result is None else [check for check in result.checks if not check.passed and check.blocking]
        if stopping:
            for name in wanted:
                message = f"a check of {call.stage.name} failed: {stopping[0].message}"
                self._holds.hold(Hold(call.run_id, name, call.request.project, "check", message, datetime.now(UTC)))
            return ()
        return tuple(name for name in wanted if self._may_start(call, name))

    def waits_for_person(self, call: StageCall, result: StageResult) -> None:
        """Record that the stage asked a question: the run ends before the stages that follow it."""
        form = list(result.form) if result.form else None
        self._holds.hold(
            Hold(call.run_id, call.stage.name, call.request.project, "input", result.message, datetime.now(UTC), form)
        )

    def record_unannounced_run(self, call: StageCall, requester: Actor) -> None:
        """Record a run that was started in Dagster's web interface, and is unknown until its first stage."""
        if self._records.run(call.run_id) is None:
            self._records.record_unannounced_run(
                RunRecord(
                    call.run_id,
                    call.request.project,
                    call.pipeline.name,
                    call.digest,
                    datetime.now(UTC),
                    requester.who,
                    via=requester.via,
                    **call.request.record_fields(),
                )
            )

    def _may_start(self, call: StageCall, name: str) -> bool:
        scope = call.scope
        if name not in scope.redone and self._is_stored(call, name):
            return True
        stage = call.pipeline.stage(name)
        if any(self._records.run_outputs(call.run_id, up) is None for up in stage.after if up != call.stage.name):
            # It waits for other stages as well; its question is checked when it is ready to start.
            return self._paused(call, stage) is None
        return self._hold(call, stage) is None

    def _is_stored(self, call: StageCall, name: str) -> bool:
        if name in call.request.use:
            return True
        return name in lineage_of(self._records, call.request.project, call.pipeline).current

    def _run_outputs(self, call: StageCall, scope: RunScope) -> Reused | None:
        """The outputs that the stage passes on in this run; None if it has to run."""
        name, project = call.stage.name, call.request.project
        if (before := self._records.run_outputs(call.run_id, name)) is not None:
            return Reused(before, "already passed on in this run")
        chosen = call.request.use.get(name)
        if chosen is not None:
            found = chosen_outputs(self._records, project, call.pipeline, name, chosen)
            picked_at, by = datetime.now(UTC), f"run {call.run_id}"
            self._holds.pick(Pick(project, call.pipeline.name, name, chosen, picked_at, by))
            return Reused(found, f"chosen: {chosen}")
        lineage = lineage_of(self._records, project, call.pipeline)
        attempt = lineage.current.get(name)
        if attempt is not None and attempt.run_id == call.run_id:
            return None  # this op made it before it crashed, and continues with the same attempt
        manifest = outputs_in_use(self._records, lineage).get(name)
        if manifest is not None:
            return Reused(manifest, f"from an earlier attempt: {manifest.address}")
        if name in scope.must_be_stored:
            raise ProjectConflict(
                f"start_from {', '.join(call.request.start_from)} needs the outputs of {name}, which do not exist",
                where=f"project {project}",
                remedy=f"Start from {name}, or from an earlier stage",
            )
        return None

    def _hold(self, call: StageCall, stage: Stage) -> Hold | None:
        """Why the stage may not start in this run; None if it may."""
        if (paused := self._paused(call, stage)) is not None:
            return paused
        project = call.request.project
        question = self._question_context(call, stage).question(stage)
        if question is None:
            return None
        hold = Hold(call.run_id, stage.name, project, "input", question.message, datetime.now(UTC), list(question.form))
        self._holds.hold(hold)
        return hold

    def _paused(self, call: StageCall, stage: Stage) -> Hold | None:
        upstream = upstream_of(call.pipeline, stage.name)
        return self._holds.held_by_pause(call.request.project, call.run_id, stage.name, upstream)

    def _question_context(self, call: StageCall, stage: Stage) -> QuestionContext:
        project = self._records.project(call.request.project)
        part = self._part(call, stage, project)
        lineage = lineage_of(self._records, project.name, call.pipeline)
        # A question of an attempt in this run has already been recorded as a hold, and is answered for the next run.
        return QuestionContext(
            project.name,
            lineage,
            Answers(self._records.database).of_project(project.name),
            self._records.result,
            call.run_id,
            {stage.name: part.env_layers(None)},
        )

    def _part(self, call: StageCall, stage: Stage, project: Project) -> StageInRun:
        given = StoredVariables(self._records.database).of(call.pipeline.name)
        return StageInRun(
            call.pipeline, call.digest, stage, project, call.request, call.run_id, call.attempt, global_env=given
        )

    def _start(self, call: StageCall, upstream: dict[str, Manifest]) -> Started:
        project = self._records.project(call.request.project)
        part = self._part(call, call.stage, project)
        answer = self._question_context(call, call.stage).latest_answer(call.stage.name)
        task = stage_task(self._settings, part, upstream, answer)
        key = fingerprint(task)
        before = ended_early(self._records.database, project.name, call.stage.name, key)
        said = QueueEntries(self._records.database).of_runs([call.run_id]).get(call.run_id)
        priority = said.priority if said is not None and said.priority is not None else 0
        task = task.model_copy(update={"continues": before, "priority": priority})
        equal = reusable(self._records.database, key, self._image_digest(task)) if call.request.reuse else None
        taken_over = None if equal is None else self._taken_over(task, equal)
        return Started(task, key, taken_over, equal.task_id if equal and taken_over else None)

    def _started(self, call: StageCall) -> Started | None:
        """The attempt that this op started before it crashed. Its decision stands, even if the run was paused since."""
        name = task_id(call.run_id, call.stage.name, call.attempt)
        task = self._records.task(name)
        if task is None:
            return None
        attempts = {each.task_id: each for each in self._records.attempts(call.request.project)}
        source = attempts[name].reused_from
        if source is None:
            return Started(task)
        equal = attempts.get(source) or self._records.attempt(source)
        return Started(task, None, self._records.result(name) or self._taken_over(task, equal), source)

    def _taken_over(self, task: StageTask, equal: Attempt) -> StageResult | None:
        manifest = self._records.manifests([equal.task_id]).get(equal.task_id)
        if manifest is None:
            return None
        now, ended_at = datetime.now(UTC), equal.ended_at or equal.started_at
        return StageResult(
            task_id=task.task_id,
            outcome="succeeded",
            message=f"taken over from {equal.project}, {equal.stage}, {format_time(ended_at)}: "
            "same image, arguments, environment and inputs",
            started_at=now,
            ended_at=now,
            node=equal.node,
            image_digest=equal.image_digest,
            outputs=manifest,
        )
