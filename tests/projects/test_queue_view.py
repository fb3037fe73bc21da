"""The queue as people see it: order, reasons and expected starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from winslow_dagster.engines.engine import Node, NodeGpu
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import InputRejected, ProjectConflict
from winslow_dagster.pipelines import keep_version
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.dagster_api.client import DagsterRun, RunStatus
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.model import RunRecord
from winslow_dagster.projects.domain.queue import QueuedRun
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.model import StageResult, StageStatus, StageTask, SubjectProgress

PIPELINES = {
    "traffic": """
name: traffic
stages:
  - {name: extract, command: ["true"]}
  - {name: detect, command: ["true"], after: [extract], gpu: 1}
""",
    "plain": 'name: plain\nstages: [{name: only, command: ["true"]}]\n',
    "greedy": 'name: greedy\nstages: [{name: huge, command: ["true"], gpu: 4}]\n',
}
GPU = NodeGpu(uuid="GPU-0", index=0, vendor="nvidia", name="H", memory_bytes=80 << 30)
NODE = Node(name="ulm-1", cpus=8, memory_bytes=64 << 30, gpus=(GPU,))


class Queue:
    """Dagster's runs, in the order in which they were queued."""

    def __init__(self) -> None:
        self.queued: list[DagsterRun] = []
        self.silent: tuple[str, ...] = ()

    def active_runs(self, known: object = None) -> tuple[DagsterRun, ...]:
        del known
        return tuple(self.queued)

    def silent_daemons(self) -> tuple[str, ...]:
        return self.silent


class Running:
    """Services that answer."""

    address = "http://127.0.0.1:9"

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def running(self) -> bool:
        return True

    def for_a_while(self) -> contextlib.AbstractContextManager[str]:
        return contextlib.nullcontext(self.address)

    def dagster(self, _installation_id: str) -> Queue:
        return self._queue


class Place:
    """An installation whose machine has one GPU, so that two runs that need one are in progress at most."""

    def __init__(self, home: Path) -> None:
        (home / "pipelines").mkdir(parents=True)
        settings = Settings.read({"WINSLOW_HOME": str(home), "WINSLOW_PIPELINES_DIR": str(home / "pipelines")})
        # Of the test: it may run long after this file was read.
        self.now = datetime.now(UTC)
        self.digests = {}
        for name, text in PIPELINES.items():
            path = home / "pipelines" / f"{name}.yaml"
            path.write_text(text)
            self.digests[name] = keep_version(path, settings.versions_dir)
        self.queue, self.engine = Queue(), InMemoryEngine((NODE,))
        services = Running(self.queue)
        self.winslow = Installation(settings, services, Actor("anna"), engine=self.engine)  # type: ignore[arg-type]
        self.records = self.winslow.context.records

    def run(self, project: str, pipeline: str = "traffic", status: RunStatus = "QUEUED", owner: str = "anna") -> str:
        digest, run_id = self.digests[pipeline], f"run-{project}"
        self.records.create_project(project, pipeline=pipeline, pipeline_digest=digest, env={}, created_by=owner)
        self.records.record_run(RunRecord(run_id, project, pipeline, digest, self.now, "anna"))
        tags = {"winslow/queue": "cpu" if pipeline == "plain" else "gpu", "winslow/requested_by": "anna"}
        self.queue.queued.append(
            DagsterRun(
                run_id=run_id,
                job=pipeline,
                status=status,
                project=project,
                created_at=self.now,
                started_at=None if status == "QUEUED" else self.now,
                ended_at=None,
                tags=tags,
            )
        )
        return run_id

    def task(self, project: str, stage: str, pipeline: str = "traffic") -> StageTask:
        return StageTask(
            task_id=f"run-{project}.{stage}.1",
            project=project,
            pipeline=pipeline,
            stage=stage,
            run_id=f"run-{project}",
            output_address=f"projects/{project}/{stage}",
            log_address=f"projects/{project}/{stage}-log",
            store_url="memory://",
            log_rules=LogRules(),
        )

    def ended(self, project: str, stage: str, took: timedelta, gpus: tuple[str, ...] = ()) -> None:
        self.records.attempt_started(self.task(project, stage))
        result = StageResult(
            task_id=f"run-{project}.{stage}.1",
            outcome="succeeded",
            message="",
            started_at=self.now - took,
            ended_at=self.now,
            node="ulm-1",
            gpus=gpus,
        )
        self.records.attempt_ended(result.task_id, result)

    def running(self, project: str, stage: str, since: timedelta, *progress: SubjectProgress, gpu: bool) -> None:
        """With a GPU, or waiting for one."""
        task = self.task(project, stage)
        self.records.attempt_started(task)
        self.engine.submit(task)
        status = StageStatus(
            task_id=task.task_id,
            phase="running" if gpu else "waiting",
            reason="" if gpu else "waiting for a GPU",
            updated_at=self.now,
            started_at=self.now - since,
            gpus=("GPU-0",) if gpu else (),
        )
        log = status.log.model_copy(update={"progress": progress})
        self.engine.report(status.model_copy(update={"log": log}))

    def waiting(self) -> dict[str, QueuedRun]:
        return {run.project or "": run for run in self.winslow.queue.view().waiting}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.winslow.close()


def minutes(run: QueuedRun) -> tuple[float, float, float]:
    """Early, expected and late start, in minutes from now."""
    assert run.expected is not None
    assert run.expected.late is not None
    moments = (run.expected.early, run.expected.at, run.expected.late)
    early, at, late = ((moment - run.queued_at).total_seconds() / 60 for moment in moments)
    return early, at, late


def with_history(place: Place) -> None:
    """Six earlier projects: a minute of extraction, and an hour of detection."""
    for number in range(6):
        place.run(f"before-{number}")
        place.queue.queued.clear()
        place.ended(f"before-{number}", "extract", timedelta(minutes=1))
        place.ended(f"before-{number}", "detect", timedelta(hours=1))


def test_runs_wait_for_places_and_start_when_those_before_them_are_expected_to_end(place: Place) -> None:
    with_history(place)
    for project in ("first", "second"):
        place.run(project, status="STARTED")
        place.ended(project, "extract", timedelta(minutes=1))
    place.running("first", "detect", timedelta(minutes=30), gpu=True)
    place.running("second", "detect", timedelta(), gpu=False)
    for project in ("third", "fourth"):
        place.run(project)
    place.run("easy", "plain")

    waiting = place.waiting()

    assert list(waiting) == ["third", "fourth", "easy"]
    assert waiting["third"].reason == "2 of 2 places for runs that need a GPU are taken by first, second"
    assert waiting["fourth"].reason.endswith("taken by first, second; 1 run is before it")
    assert waiting["easy"].reason == "next in the queue"
    # The first detection has half an hour to go, and then the second one needs the GPU for an hour.
    early, at, late = minutes(waiting["third"])
    assert 20 < early <= at <= late < 45
    early, at, late = minutes(waiting["fourth"])
    assert 75 < early <= at <= late < 110
    assert minutes(waiting["easy"])[1] == pytest.approx(0, abs=1)


def test_a_run_that_waits_for_a_rare_gpu_says_who_has_its_places(place: Place) -> None:
    amd = {"winslow/gpu-vendor": "amd"}
    common = GPU.model_copy(update={"uuid": "GPU-2"})
    place.engine.change_nodes((NODE, NODE.model_copy(update={"name": "ulm-2", "gpus": (common,)})))
    for project in ("first", "second", "third"):
        place.run(project, status="QUEUED" if project == "third" else "STARTED")
        run = place.queue.queued.pop()
        place.queue.queued.append(run.model_copy(update={"tags": {**run.tags, **amd}}))
    place.run("fourth")

    waiting = place.waiting()

    assert waiting["third"].reason == "2 of 2 places for runs that need a GPU of amd are taken by first, second"
    assert waiting["fourth"].reason.startswith("next in the queue")


def test_a_stage_that_waits_for_a_gpu_says_why_and_when_it_is_expected_to_get_it(place: Place) -> None:
    with_history(place)
    for project in ("first", "second"):
        place.run(project, status="STARTED")
        place.ended(project, "extract", timedelta(minutes=1))
    place.running("first", "detect", timedelta(minutes=30), gpu=True)
    place.running("second", "detect", timedelta(), gpu=False)

    running, waiting = (run.stages[0] for run in place.winslow.queue.view().in_progress)

    assert (running.reason, running.expected) == ("", None)
    assert waiting.reason == "waiting for a GPU"
    assert waiting.expected is not None
    assert 20 < (waiting.expected.at - place.now) / timedelta(minutes=1) < 45


def test_a_stage_that_reports_how_long_it_takes_is_believed(place: Place) -> None:
    with_history(place)
    for project, left_s in (("first", 600.0), ("second", 6000.0)):
        place.run(project, status="STARTED")
        place.ended(project, "extract", timedelta(minutes=1))
        reported = SubjectProgress(subject="frames", current=1, total=2, remaining_s=left_s)
        place.running(project, "detect", timedelta(hours=3), reported, gpu=True)
    place.run("third")

    assert minutes(place.waiting()["third"])[1] == pytest.approx(10, abs=1)


def test_without_earlier_attempts_nobody_knows_when_a_run_starts(place: Place) -> None:
    for project in ("first", "second"):
        place.run(project, status="STARTED")
    place.run("third")

    assert place.waiting()["third"].expected is None


def test_owners_take_turns_and_a_run_says_why_others_go_first(place: Place) -> None:
    for project in ("first", "second"):
        place.run(project, status="STARTED")
    for number in range(3):
        place.run(f"video-{number}")
    place.run("late", owner="bert")

    waiting = place.waiting()

    assert list(waiting) == ["late", "video-0", "video-1", "video-2"]
    assert waiting["late"].turn == ""
    assert waiting["video-0"].turn == "owners take turns, and owner anna has 2 in progress"
    assert waiting["video-1"].turn == "owners take turns, and owner anna has 2 in progress and 1 before this one"


def test_whoever_used_the_gpus_lately_goes_after_those_who_did_not(place: Place) -> None:
    place.run("before")
    place.queue.queued.clear()
    place.ended("before", "detect", timedelta(hours=1), gpus=("GPU-0",))
    place.run("again")
    place.run("new", owner="bert")

    waiting = place.waiting()

    assert list(waiting) == ["new", "again"]
    assert waiting["again"].turn == "owners take turns, and owner anna has used more of the GPUs in the last 24 h"


def test_some_of_many_waiting_runs_are_described_as_if_all_were(place: Place) -> None:
    for number in range(6):
        place.run(f"p-{number}")
    whole = place.winslow.queue.view()

    part = place.winslow.queue.view(first=2, most=3)

    assert (part.first, part.waiting_in_all) == (2, 6)
    assert part.waiting == whole.waiting[2:5]
    assert place.winslow.queue.view(first=9, most=3).waiting == ()


def test_a_stage_that_no_machine_can_run_is_named_before_it_fails(place: Place) -> None:
    place.run("too-much", "greedy")

    assert place.waiting()["too-much"].problem == "huge needs 4 GPUs, and no machine has more than 1"


def test_nothing_starts_without_the_daemon(place: Place) -> None:
    place.run("first")
    place.queue.silent = ("QUEUED_RUN_COORDINATOR",)

    assert place.winslow.queue.view().stopped == "the run-queue daemon is not running"
    assert place.waiting()["first"].reason == "the run-queue daemon is not running"
    assert place.waiting()["first"].expected is None


def test_what_is_in_progress_says_what_its_stages_wait_for(place: Place) -> None:
    place.run("first", status="STARTED")
    place.running("first", "extract", timedelta(), gpu=False)

    (run,) = place.winslow.queue.view().in_progress

    assert [(stage.stage, stage.phase, stage.reason) for stage in run.stages] == [
        ("extract", "waiting", "waiting for a GPU")
    ]


def test_the_front_is_before_every_priority(place: Place) -> None:
    for project in ("first", "second", "third"):
        place.run(project)
    place.winslow.queue.set_priority("second", 5)
    assert list(place.waiting()) == ["second", "first", "third"]

    assert place.winslow.queue.move_to_front("third") == 6

    assert list(place.waiting()) == ["third", "second", "first"]
    with pytest.raises(InputRejected, match="is not a priority"):
        place.winslow.queue.set_priority("first", 10**9)
    with pytest.raises(ProjectConflict, match="no run of it is held"):
        place.winslow.queue.release("first")


def test_a_hundred_waiting_runs_all_have_an_expected_start(place: Place) -> None:
    with_history(place)
    for number in range(100):
        place.run(f"project-{number}")

    waiting = place.waiting()

    starts = [minutes(run)[1] for run in waiting.values()]
    assert len(starts) == 100
    assert starts == sorted(starts)
