"""What nobody waits for is ended, and nothing else: real runners, containers, processes and a real Dagster instance."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from dagster import DagsterInstance, build_sensor_context, job, op
from patience import until

from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.sensors.orphans import (
    cancel_orphaned_attempts,
    delete_abandoned_uploads,
    orphans_sensor,
    record_ends,
)
from winslow_dagster.settings import Settings
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageTask

SCRIPT = 'echo once > "$WINSLOW_OUTPUT_DIR/ran"; sleep 600'
LONG_AFTER = timedelta(hours=1)


@op
def nothing() -> None:
    pass


@job
def a_job() -> None:
    nothing()


class Node:
    """An installation on which stages run until somebody ends them."""

    def __init__(self, home: Path, instance: DagsterInstance, image: str | None, node_dir: Path | None = None) -> None:
        home.mkdir()
        self.settings = Settings.read({"WINSLOW_HOME": str(home), "WINSLOW_NODE_DIR": str(node_dir or home)})
        self.engine = LocalEngine(self.settings)
        self.records = ProjectRecords.open(self.settings.database_url)
        self.records.create_project("ulm-07", pipeline="traffic", pipeline_digest="d", env={}, created_by="anna")
        self.instance = instance
        self.image = image
        self.tasks: list[StageTask] = []

    def task(self, run_id: str) -> StageTask:
        task_id = f"{run_id}.detect.1"
        address = f"projects/ulm-07/detect/{task_id}"
        return StageTask(
            task_id=task_id,
            project="ulm-07",
            pipeline="traffic",
            stage="detect",
            attempt=1,
            run_id=run_id,
            image=self.image,
            mode="docker" if self.image else "process",
            command=("sh",),
            args=("-c", SCRIPT),
            output_address=f"{address}/output",
            log_address=f"{address}/log",
            store_url=self.settings.store_url,
            log_rules=LogRules(),
            stop_grace_period_s=0.0,
        )

    def start(self, run_id: str) -> StageTask:
        task = self.task(run_id)
        self.records.attempt_started(task)
        self.engine.submit(task)
        self.tasks.append(task)
        until("the stage runs", (self.directory(task).output / "ran").exists)
        return task

    def directory(self, task: StageTask) -> TaskDirectory:
        return TaskDirectory.of(self.settings.node.tasks_dir, task.task_id)

    def ended(self, task: StageTask) -> StageResult:
        until("it has ended", lambda: self.engine.status(task.task_id).result)
        result = self.engine.status(task.task_id).result
        assert result is not None
        return result

    def look(self, after: timedelta = timedelta()) -> tuple[str, ...]:
        return cancel_orphaned_attempts(self.instance, self.records, self.engine, datetime.now(UTC) + after)

    def kill_runner(self, task: StageTask) -> None:
        status = self.engine.status(task.task_id).status
        assert status is not None
        assert status.runner_pid is not None
        runner = psutil.Process(status.runner_pid)
        os.kill(runner.pid, signal.SIGKILL)
        until("the runner is dead", lambda: not self.directory(task).runner_alive())

    def remains(self, task: StageTask) -> list[str]:
        """Containers and processes of the attempt."""
        containers = []
        if self.image:
            list_them = ["docker", "ps", "-aq", "--filter", f"label=winslow.task={task.task_id}"]
            containers = subprocess.run(list_them, capture_output=True, text=True, check=True).stdout.split()
        return containers + [entry.name for entry in Path("/proc").iterdir() if mark(task) in environment(entry)]

    def kept(self, task: StageTask) -> bool:
        """Whether its process supervisor is alive: it exits some moments after its program."""
        path = os.fsencode(self.directory(task).path)
        return any(
            path in words and b"process_supervisor.py" in words for words in map(command_line, Path("/proc").iterdir())
        )

    def clear(self) -> None:
        for task in self.tasks:
            if self.directory(task).path.exists() and self.engine.status(task.task_id).result is None:
                self.engine.cancel(task.task_id, "the test has ended")
                self.ended(task)
        self.records.close()


def mark(task: StageTask) -> bytes:
    return f"WINSLOW_TASK_ID={task.task_id}".encode()


def environment(entry: Path) -> bytes:
    return read(entry / "environ")


def command_line(entry: Path) -> bytes:
    return read(entry / "cmdline")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides={"telemetry": {"enabled": False}}) as made:
        yield made


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def node(request: pytest.FixtureRequest, tmp_path: Path, instance: DagsterInstance) -> Iterator[Node]:
    image = request.getfixturevalue("test_image") if request.param == "docker" else None
    made = Node(tmp_path / "home", instance, image)
    yield made
    made.clear()


def test_an_attempt_whose_run_does_not_exist_is_ended_by_a_runner_though_its_own_is_dead(node: Node) -> None:
    task = node.start(f"test-{uuid4().hex[:12]}")
    node.kill_runner(task)
    # That Dagster has no record of the run at one look proves nothing.
    assert node.look(LONG_AFTER) == ()
    node.records.record_run_end(task.run_id, "failed", "Dagster has no record of the run any more", datetime.now(UTC))
    assert node.look() == (f"cancelled {task.task_id}: its run no longer exists",)
    result = node.ended(task)
    assert result.outcome == "cancelled"
    assert "its run no longer exists" in result.message
    assert node.remains(task) == []
    assert node.look() == ()


def test_an_attempt_is_left_alone_while_its_run_goes_on_and_ended_some_time_after_it(node: Node) -> None:
    run = node.instance.create_run_for_job(a_job)
    task = node.start(run.run_id)
    assert node.look(LONG_AFTER) == ()
    node.instance.report_run_failed(run)
    assert node.look() == ()
    assert node.engine.status(task.task_id).served
    assert node.look(LONG_AFTER) == (f"cancelled {task.task_id}: its run is over (failure)",)
    assert node.ended(task).outcome == "cancelled"
    assert node.remains(task) == []


def test_an_attempt_whose_run_ended_without_recording_it_gets_its_result(node: Node) -> None:
    task, unsubmitted = node.start("run1"), node.task("run2")
    node.records.attempt_started(unsubmitted)
    node.engine.cancel(task.task_id, "the test has seen enough")
    result = node.ended(task)
    now = datetime.now(UTC)
    assert record_ends(node.records, node.engine, now) == ()
    for run_id in ("run1", "run2"):
        node.records.record_run_end(run_id, "failed", "the worker could not record anything", now)
    assert set(record_ends(node.records, node.engine, now)) == {
        f"recorded the end of {task.task_id}: cancelled",
        f"recorded the end of {unsubmitted.task_id}: lost",
    }
    assert node.records.result(task.task_id) == result
    assert record_ends(node.records, node.engine, now) == ()


def test_what_still_runs_of_an_attempt_that_is_over_is_ended(node: Node) -> None:
    run = node.instance.create_run_for_job(a_job)
    task = node.start(run.run_id)
    node.kill_runner(task)
    now = datetime.now(UTC)
    node.directory(task).write_outcome(
        StageResult(task_id=task.task_id, outcome="lost", message="", started_at=now, ended_at=now, node="n")
    )
    assert node.look() == ()
    assert node.remains(task) != []
    assert node.kept(task) is not bool(node.image)
    node.directory(task).finalize()
    kind = "container" if node.image else "process"
    assert node.look() == (f"removed a {kind} of {task.task_id}",)
    until("nothing of it is left", lambda: node.remains(task) == [] and not node.kept(task))
    assert node.look() == ()


@pytest.mark.parametrize("shared", [False, True], ids=["own node directory", "shared node directory"])
def test_what_belongs_to_another_installation_is_never_touched(node: Node, tmp_path: Path, *, shared: bool) -> None:
    other = Node(tmp_path / "other", node.instance, node.image, node.settings.node.node_dir if shared else None)
    task = other.start(f"test-{uuid4().hex[:12]}")
    assert node.look(LONG_AFTER) == ()
    assert other.engine.status(task.task_id).served
    assert other.remains(task) != []
    other.clear()


@pytest.fixture
def quiet(tmp_path: Path, instance: DagsterInstance) -> Node:
    return Node(tmp_path / "home", instance, None)


def test_uploads_that_stopped_a_day_ago_are_cleared_away_and_younger_ones_are_not(quiet: Node) -> None:
    incoming = quiet.settings.home / "incoming"
    (incoming / "half").mkdir(parents=True)
    video = incoming / "half" / "video.mp4"
    video.write_bytes(b"half")
    os.utime(video, (0, 0))  # a copy takes the times of its original along: they say nothing
    now = datetime.now(UTC)
    assert delete_abandoned_uploads(quiet.settings, quiet.engine, now) == ()
    assert video.exists()
    assert delete_abandoned_uploads(quiet.settings, quiet.engine, now + timedelta(days=2)) == (
        "deleted the abandoned upload half",
    )
    assert list(incoming.iterdir()) == []


def test_a_task_directory_that_was_half_deleted_is_cleared_away(quiet: Node) -> None:
    half = quiet.settings.node.tasks_dir / ".forgotten-run.detect.1"
    half.mkdir(parents=True)
    delete_abandoned_uploads(quiet.settings, quiet.engine, datetime.now(UTC))
    assert not half.exists()


def test_the_sensor_looks_each_time_and_clears_scraps_once_an_hour(
    quiet: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(quiet.settings.home))
    context = build_sensor_context(quiet.instance)
    assert "no orphans" in str(orphans_sensor(context))
    assert context.cursor is not None
    again = build_sensor_context(quiet.instance, cursor=context.cursor)
    half = quiet.settings.node.tasks_dir / ".forgotten-run.detect.1"
    half.mkdir(parents=True)
    orphans_sensor(again)
    assert again.cursor == context.cursor
    assert half.exists()
