"""The status of one project: its stages, runs and questions, and what can be done next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial

from winslow_dagster.engines.engine import Engine
from winslow_dagster.errors import NotFound, PipelineInvalid, StoreError
from winslow_dagster.pipelines import LoadedPipeline, Pipeline
from winslow_dagster.pipelines.changes import changes
from winslow_dagster.projects.dagster_api.client import DagsterClient, DagsterRun
from winslow_dagster.projects.dagster_api.reasons import queue_reason, run_failure
from winslow_dagster.projects.dagster_api.run_completion import ended_runs, statuses_of
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.answers import Answers
from winslow_dagster.projects.database.global_variables import StoredVariables
from winslow_dagster.projects.database.holds import HoldCause, Holds
from winslow_dagster.projects.database.lineage_queries import lineage_of
from winslow_dagster.projects.database.queue_entries import QueueEntries
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.lineage import Lineage, in_order
from winslow_dagster.projects.domain.model import Project, RunRecord, pause_text
from winslow_dagster.projects.domain.questions import Question, QuestionContext
from winslow_dagster.projects.domain.used_pipelines import UsedPipeline
from winslow_dagster.projects.domain.views import InputView, PipelineView, ProjectStatus, QuestionView, StageView
from winslow_dagster.projects.status.state import (
    RunSnapshot,
    StageSnapshot,
    next_actions,
    project_state,
    stage_views,
)
from winslow_dagster.projects.status.state_queries import answered_and_picked
from winslow_dagster.projects.status.unfinished import unfinished

AskDagster = Callable[[], DagsterClient | None]
"""Dagster's web server, or None if it is not running. Called only where a run may be in progress."""


class StatusReader:
    """Reads the status of projects, and writes nothing. Raises NotFound for a project that does not exist."""

    def __init__(self, records: ProjectRecords, engine: Engine, dagster: AskDagster) -> None:
        self._records = records
        self._engine = engine
        self._dagster = dagster

    def status(
        self,
        found: Project,
        pipeline: Pipeline,
        pipeline_changes: tuple[str, ...],
        others: Sequence[UsedPipeline] = (),
    ) -> ProjectStatus:
        """The project's status. `others` are the pipelines that it ran through besides its own."""
        lineage = lineage_of(self._records, found.name, pipeline)
        snapshot = self.runs(found)
        views = self._stages(lineage, snapshot)
        running = [view.stage for view in views if view.state == "running"]
        left = unfinished(lineage)
        state, reason = project_state(snapshot, running, left)
        questions = () if snapshot.open else self.questions(found, lineage)
        sweep = snapshot.runs[0].sweep if snapshot.runs else None
        return ProjectStatus(
            project=found.name,
            pipeline=found.pipeline,
            pipeline_digest=found.pipeline_digest,
            pipeline_changes=pipeline_changes,
            state=state,
            reason=reason,
            run_id=found.latest_run,
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
                for each in self._records.inputs(found.name)
            ),
            stages=views,
            actions=next_actions(
                state,
                sweep=sweep is not None,
                left=bool(left),
                asked=bool(questions),
                held=state == "pausing" and bool(self._held(found.latest_run, "paused")),
            ),
            questions=_views(questions),
            sweep=sweep,
            sweep_stage=snapshot.runs[0].start_from if sweep else None,
            tags=found.tags,
            notes=found.notes,
            todos=Annotations(self._records.database).todos(found.name),
            missing_inputs=pipeline.missing_inputs(found.inputs),
            other_pipelines=tuple(self._pipeline(found, each, snapshot) for each in others),
        )

    def _pipeline(self, found: Project, used: UsedPipeline, snapshot: RunSnapshot) -> PipelineView:
        try:
            lineage = lineage_of(self._records, found.name, used.read())
        except (NotFound, StoreError, PipelineInvalid) as error:
            # The project's own pipeline is not hidden by another that cannot be read any more.
            return PipelineView(pipeline=used.name, pipeline_digest=used.digest, problem=str(error))
        return PipelineView(
            pipeline=used.name,
            pipeline_digest=used.digest,
            stages=self._stages(lineage, snapshot),
            questions=() if snapshot.open else _views(self.questions(found, lineage)),
        )

    def _stages(self, lineage: Lineage, snapshot: RunSnapshot) -> tuple[StageView, ...]:
        attempts = StageSnapshot(
            lineage=lineage,
            result_of=self._records.result,
            task_state_of=self._engine.status,
        )
        return stage_views(attempts, active=any(run.pipeline == lineage.pipeline.name for run in snapshot.open))

    def runs(self, found: Project) -> RunSnapshot:
        """The project's latest run, or all runs of its latest sweep, with Dagster's statuses of those that are open."""
        runs = self._latest(found.name)
        seen: dict[str, DagsterRun] = {}
        statuses: dict[str, str] = {}
        dagster = self._dagster() if any(run.ended_at is None for run in runs) else None
        if dagster is not None:
            still_open = [run for run in runs if run.ended_at is None]
            seen = dagster.runs_by_id(run.run_id for run in still_open)
            statuses = statuses_of(still_open, seen.get)
            ended = ended_runs(self._records, still_open, seen.get, partial(run_failure, dagster))
            runs = tuple(ended.get(run.run_id, run) for run in runs)
        queued = [run for run in seen.values() if run.status in {"QUEUED", "NOT_STARTED"}]
        answered, picked = answered_and_picked(self._records.database, runs[0].run_id) if runs else (False, False)
        pause = None
        if len(runs) == 1 and runs[0].ended_at is None:
            pause = Holds(self._records.database).pause_of(runs[0].run_id)
        return RunSnapshot(
            runs=runs,
            statuses=statuses,
            queue_reasons={queued[0].run_id: self._why_queued(dagster, queued[0])}
            if dagster is not None and queued
            else {},
            pause=pause_text(pause.asked_by, pause.after_stage) if pause else "",
            answered=answered,
            picked=picked,
        )

    def _why_queued(self, dagster: DagsterClient, run: DagsterRun) -> str:
        entry = QueueEntries(self._records.database).of_runs([run.run_id]).get(run.run_id)
        if entry is not None and entry.hold_text:
            return f"{entry.hold_text}; it starts once somebody releases it in the queue"
        if not self._engine.takes_stages():
            return "waiting in the queue: every machine is drained"
        return queue_reason(dagster, run)

    def with_ends(self, runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
        """The runs with the ends that Dagster knows of and nobody has recorded yet."""
        dagster = self._dagster() if any(run.ended_at is None for run in runs) else None
        if dagster is None:
            return tuple(runs)
        still_open = [run for run in runs if run.ended_at is None]
        seen = dagster.runs_by_id(run.run_id for run in still_open)
        ended = ended_runs(self._records, still_open, seen.get, partial(run_failure, dagster))
        return tuple(ended.get(run.run_id, run) for run in runs)

    def questions(self, found: Project, lineage: Lineage) -> tuple[Question, ...]:
        """The questions to answer before the next stages of the pipeline can run."""
        pipeline = lineage.pipeline
        given = StoredVariables(self._records.database).of(pipeline.name)
        layers = {stage.name: (given, pipeline.env, stage.env, found.env) for stage in pipeline.stages}
        context = QuestionContext(
            found.name,
            lineage,
            Answers(self._records.database).of_project(found.name),
            self._records.result,
            layers=layers,
        )
        latest = self._records.latest_run(found.name, lineage.pipeline.name)
        to_run, held = set(lineage.to_run), self._held(latest.run_id if latest else None)
        ready = (
            stage
            for stage in in_order(lineage.pipeline)
            if stage.name in held or (stage.name in to_run and not to_run & set(stage.after))
        )
        questions = (context.question(stage) for stage in ready)
        return tuple(question for question in questions if question is not None)

    def _held(self, run_id: str | None, cause: HoldCause = "input") -> dict[str, datetime]:
        """Stage -> since when the run has held it back for this cause."""
        holds = Holds(self._records.database).holds([run_id]) if run_id is not None else ()
        return {hold.stage: hold.held_at for hold in holds if hold.cause == cause}

    def _latest(self, project: str) -> tuple[RunRecord, ...]:
        latest = self._records.project(project).latest_run
        run = None if latest is None else self._records.run(latest)
        if run is None:
            return ()
        return self._records.runs_of_sweep(run.sweep) if run.sweep is not None else (run,)


def _views(questions: Iterable[Question]) -> tuple[QuestionView, ...]:
    return tuple(
        QuestionView(**{name: value for name, value in asdict(each).items() if name != "project"}) for each in questions
    )


def changes_since(pipeline: Pipeline, digest: str, current: Callable[[], LoadedPipeline]) -> tuple[str, ...]:
    """How the current pipeline file differs from this version of it."""
    try:
        found = current()
    except NotFound:
        return ("its pipeline file no longer exists",)
    except PipelineInvalid:
        return (f"the pipeline file {pipeline.name} has errors",)
    return () if found.digest == digest else changes(pipeline, found.pipeline)
