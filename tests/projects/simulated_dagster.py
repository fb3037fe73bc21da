"""Dagster as far as projects see it, in memory and one event at a time; everything of ours around it is real.

A stage's op is what `jobs/stage_op.py` does, without an engine: whoever drives this says how each attempt ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from winslow_dagster.errors import InputRejected, NotFound, ProjectConflict
from winslow_dagster.pipelines import keep_version, load_version, pipeline_names
from winslow_dagster.pipelines.model.pipeline import Pipeline
from winslow_dagster.projects.dagster_api.client import DagsterRun, EventPage, Job
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.run_request import RunRequest
from winslow_dagster.projects.planning.stage_decision import Reused, StageCall, StageDecider, Started
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import CheckResult, StageResult, StageTask
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store

End = Literal["succeeded", "failed", "lost", "awaiting_input", "check"]
Status = Literal["QUEUED", "STARTED", "CANCELING", "CANCELED", "SUCCESS", "FAILURE"]


@dataclass
class SimulatedRun:
    run_id: str
    job: Job
    pipeline: Pipeline
    request: RunRequest
    project: str | None
    created_at: datetime
    status: Status = "QUEUED"
    outputs: dict[str, Manifest] = field(default_factory=dict)
    lets_begin: set[tuple[str, str]] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    running: dict[str, StageTask] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    ended_at: datetime | None = None

    def __repr__(self) -> str:
        return f"{self.run_id[:4]} {self.status} runs {list(self.running)}, over {sorted(self.over)}"

    def ready(self) -> list[str]:
        """The stages whose ops Dagster would start now."""
        return [
            stage.name
            for stage in self.pipeline.stages
            if stage.name not in self.over | self.failed | set(self.running)
            and all(up in self.outputs and (up, stage.name) in self.lets_begin for up in stage.after)
        ]


class SimulatedDagster:
    def __init__(self, settings: Settings, records: ProjectRecords, store: Store) -> None:
        self.settings = settings
        self.records = records
        self.store = store
        self.stage_decider = StageDecider(records, settings, lambda _: None)
        self.all: dict[str, SimulatedRun] = {}
        self.jobs: dict[str, Job] = {}
        self.now = datetime.now(UTC)
        self.reload("winslow")

    # What the client of Dagster offers (projects/dagster_api/client.py).

    def locations(self) -> tuple[str, ...]:
        return ("winslow",)

    def reload(self, location: str) -> None:
        for name, path in pipeline_names(self.settings.pipelines_dir).items():
            digest = keep_version(path, self.settings.versions_dir)
            before = self.jobs.get(name)
            if before is not None and before.digest != digest:
                kept = f"{name}__{(before.digest or '')[:8]}"
                self.jobs[kept] = before.model_copy(update={"name": kept})
            self.jobs[name] = Job(name=name, repository="r", location=location, digest=digest)

    def job_names(self) -> tuple[str, ...]:
        return tuple(self.jobs)

    def job(self, name: str) -> Job:
        return self.jobs[name]

    def launch(self, job: Job, run_config: dict[str, Any], tags: dict[str, str]) -> str:
        name = job.name.partition("__")[0]
        pipeline = load_version(self.settings.versions_dir, name, job.digest or "")
        request = RunRequest.checked(pipeline, run_config)
        self.now += timedelta(seconds=1)
        run = SimulatedRun(uuid4().hex, job, pipeline, request, tags.get("winslow/project"), self.now)
        self.all[run.run_id] = run
        return run.run_id

    def run(self, run_id: str) -> DagsterRun:
        if run_id not in self.all:
            raise NotFound(run_id)
        run = self.all[run_id]
        return DagsterRun(
            run_id=run_id,
            job=run.job.name,
            status=run.status,
            project=run.project,
            created_at=run.created_at,
            started_at=None,
            ended_at=run.ended_at,
        )

    def runs(self, *, project: str | None = None, statuses: tuple[str, ...] = ()) -> tuple[DagsterRun, ...]:
        chosen = [run for run in self.all.values() if project in {None, run.project} and run.status in statuses]
        return tuple(self.run(run.run_id) for run in reversed(chosen))

    def runs_by_id(self, run_ids: Any) -> dict[str, DagsterRun]:
        return {run_id: self.run(run_id) for run_id in run_ids if run_id in self.all}

    def events(self, run_id: str, cursor: str | None = None) -> EventPage:
        del run_id, cursor
        return EventPage(events=(), cursor="", has_more=False)

    def silent_daemons(self) -> tuple[str, ...]:
        return ()

    def terminate(self, run_id: str) -> None:
        run = self.all[run_id]
        if run.ended_at is not None:
            raise ProjectConflict("it has ended")
        run.status = "CANCELED" if run.status == "QUEUED" else "CANCELING"
        if run.status == "CANCELED":
            run.ended_at = datetime.now(UTC)

    # What happens in it, one event at a time.

    def open(self) -> list[SimulatedRun]:
        return [run for run in self.all.values() if run.ended_at is None]

    def step(self, run: SimulatedRun, which: int, end: End) -> None:
        """The next event of the run: `which` chooses among those that are possible, `end` is how an attempt ends."""
        if run.status == "QUEUED":
            run.status = "STARTED"
        elif run.status == "CANCELING":
            for stage in list(run.running):
                result = self._result_of(run, stage, "cancelled")
                self.records.attempt_ended(run.running.pop(stage).task_id, result)
            self._finish(run, "CANCELED")
        elif events := [*(("begin", stage) for stage in run.ready()), *(("end", stage) for stage in run.running)]:
            what, stage = events[which % len(events)]
            self._begin(run, stage) if what == "begin" else self._end(run, stage, end)
        else:
            self._finish(run, "FAILURE" if run.failed else "SUCCESS")

    def crash(self, run: SimulatedRun) -> None:
        """The worker dies and another replays: the ops of stages that run are entered again, and go on as they were."""
        for stage, task in run.running.items():
            entry = self.stage_decider.before_stage(self._call(run, stage), self._upstream(run, stage))
            assert isinstance(entry, Started), "what runs is neither held back nor left out by a crash"
            assert entry.task == task

    def _begin(self, run: SimulatedRun, stage: str) -> None:
        call = self._call(run, stage)
        entry = self.stage_decider.before_stage(call, self._upstream(run, stage))
        if isinstance(entry, Reused):
            self._hand_on(run, stage, entry.manifest, None)
        elif isinstance(entry, Started):
            self.records.attempt_started(
                entry.task,
                pipeline_digest=call.digest,
                fingerprint=entry.fingerprint,
                reused_from=entry.reused_from,
            )
            if entry.taken_over is None:
                run.running[stage] = entry.task
            else:
                self.records.attempt_ended(entry.task.task_id, entry.taken_over)
                assert entry.taken_over.outputs is not None
                self._hand_on(run, stage, entry.taken_over.outputs, entry.taken_over)
        else:
            run.over.add(stage)

    def _end(self, run: SimulatedRun, stage: str, end: End) -> None:
        outcome = "succeeded" if end == "check" else end
        result = self._result_of(run, stage, outcome)
        task = run.running.pop(stage)
        if end == "check":
            failed = CheckResult(name="made", passed=False, severity="error", blocking=True, message="it is empty")
            result = result.model_copy(update={"checks": (failed,)})
        self.records.attempt_ended(task.task_id, result)
        tried = run.tries.get(stage, 1)
        if end == "lost" and tried <= run.pipeline.stage(stage).retries.count:
            run.tries[stage] = tried + 1
        elif end == "awaiting_input":
            self.stage_decider.waits_for_person(self._call(run, stage), result)
            run.over.add(stage)
        elif result.outputs is not None:
            self._hand_on(run, stage, result.outputs, result)
        else:
            run.failed.add(stage)

    def _hand_on(self, run: SimulatedRun, stage: str, manifest: Manifest, result: StageResult | None) -> None:
        successors = tuple(each.name for each in run.pipeline.stages if stage in each.after)
        going_on = self.stage_decider.after_stage(self._call(run, stage), result, successors)
        self.records.record_run_output(run.run_id, stage, manifest)
        run.outputs[stage] = manifest
        run.lets_begin |= {(stage, successor) for successor in going_on}
        run.over.add(stage)

    def _finish(self, run: SimulatedRun, status: Status) -> None:
        run.status, run.ended_at = status, datetime.now(UTC)

    def _call(self, run: SimulatedRun, stage: str) -> StageCall:
        found = run.pipeline.stage(stage)
        return StageCall(run.pipeline, run.job.digest or "", found, run.request, run.run_id, run.tries.get(stage, 1))

    def _upstream(self, run: SimulatedRun, stage: str) -> dict[str, Manifest]:
        return {up: run.outputs[up] for up in run.pipeline.stage(stage).after}

    def _result_of(self, run: SimulatedRun, stage: str, outcome: Any) -> StageResult:
        task = run.running[stage]
        outputs = self._made(task) if outcome == "succeeded" else None
        at = datetime.now(UTC)
        return StageResult(
            task_id=task.task_id,
            outcome=outcome,
            message=f"{stage} {outcome}",
            started_at=at,
            ended_at=at,
            node="here",
            mode="process",
            outputs=outputs,
        )

    def _made(self, task: StageTask) -> Manifest:
        """The output of a stage says all that it was made of."""
        env: dict[str, str] = {}
        for layer in task.env_layers:
            env |= layer
        made = {
            "stage": task.stage,
            "level": env.get("LEVEL", ""),
            "inputs": {up: self.content(manifest) for up, manifest in task.inputs.items()},
            "answer": self.content(task.resources["answer"]) if "answer" in task.resources else None,
        }
        tree = Path(self.settings.home) / "made" / uuid4().hex
        tree.mkdir(parents=True)
        (tree / "out.json").write_text(json.dumps(made))
        return self.store.commit_tree(tree, task.output_address)

    def content(self, manifest: Manifest) -> Any:
        """What is in the tree's first file."""
        entry = manifest.files[0]
        try:
            return json.loads(self.store.read_range(manifest, entry, 0, entry.size_bytes))
        except ValueError as error:
            raise InputRejected(str(error)) from error
