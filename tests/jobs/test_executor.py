"""The thread executor, on a real Dagster instance and with real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, job, op, reconstructable
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.retries import RetryMode
from dagster._core.instance import InstanceRef
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from patience import until

from winslow_dagster.jobs.executor import StepFailure

sys.path.insert(0, str(Path(__file__).parent))
from executor_jobs import branches  # found beside this file, by workers too

INSTANCE = """
telemetry: {enabled: false}
run_launcher: {module: winslow_dagster.jobs.launcher, class: ProcessRunLauncher}
run_monitoring: {enabled: true, max_resume_run_attempts: 100}
"""


class Bench:
    """An instance, a run of `branches`, and the workers that serve it."""

    def __init__(self, folder: Path) -> None:
        (folder / "dagster.yaml").write_text(INSTANCE)
        self.folder = folder
        self.instance = DagsterInstance.from_ref(InstanceRef.from_dir(str(folder)))
        self.workers: list[subprocess.Popen[bytes]] = []
        recon = reconstructable(branches)
        self.origin = recon.get_python_origin()
        self.run: DagsterRun = self.instance.create_run_for_job(branches, job_code_origin=self.origin)

    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []

    def start(self) -> subprocess.Popen[bytes]:
        args = ExecuteRunArgs(
            job_origin=self.origin,
            run_id=self.run.run_id,
            instance_ref=self.instance.get_ref(),
            set_exit_code_on_failure=True,
        )
        return self._spawn(args.get_command_args())

    def resume(self) -> subprocess.Popen[bytes]:
        args = ResumeRunArgs(job_origin=self.origin, run_id=self.run.run_id, instance_ref=self.instance.get_ref())
        return self._spawn(args.get_command_args())

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "EXECUTOR_TEST_DIR": str(self.folder),
            "DAGSTER_HOME": str(self.folder),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        with (self.folder / "worker.err").open("ab") as errors:
            worker = subprocess.Popen(
                [sys.executable, "-m", "dagster", "api", *command[-2:]],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        self.workers.append(worker)
        return worker

    def status(self) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(self.run.run_id)
        assert run is not None
        return run.status

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        self.instance.dispose()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_run_goes_through_branches_retries_and_skips(bench: Bench) -> None:
    assert bench.start().wait() == 0
    assert bench.status() is DagsterRunStatus.SUCCESS
    assert sorted(bench.diary()) == sorted(
        ["first", "chooser", "flaky 0", "flaky 1", "slow waits", "slow done", "last 13"]
    )


def test_a_resumed_run_repeats_only_what_was_in_flight(bench: Bench) -> None:
    (bench.folder / "slow.hold").touch()
    worker = bench.start()
    until("it waits", lambda: "slow waits" in bench.diary())
    worker.kill()
    worker.wait()
    assert bench.status() is DagsterRunStatus.STARTED
    (bench.folder / "slow.hold").unlink()
    bench.resume().wait()
    assert bench.status() is DagsterRunStatus.SUCCESS
    assert bench.diary().count("first") == 1
    assert bench.diary().count("flaky 1") == 1
    assert bench.diary()[-3:] == ["slow waits", "slow done", "last 13"]


def test_a_worker_that_is_told_to_go_away_leaves_the_run_to_the_next_one(bench: Bench) -> None:
    (bench.folder / "slow.hold").touch()
    worker = bench.start()
    until("it waits", lambda: "slow waits" in bench.diary())
    worker.send_signal(signal.SIGTERM)
    worker.wait()
    assert bench.status() is DagsterRunStatus.STARTED
    failures = bench.instance.get_records_for_run(bench.run.run_id, of_type=DagsterEventType.STEP_FAILURE).records
    assert failures == []
    (bench.folder / "slow.hold").unlink()
    bench.resume().wait()
    assert bench.status() is DagsterRunStatus.SUCCESS


def test_a_cancelled_run_ends_as_cancelled(bench: Bench) -> None:
    (bench.folder / "slow.hold").touch()
    worker = bench.start()
    until("it waits", lambda: "slow waits" in bench.diary())
    run = bench.instance.get_run_by_id(bench.run.run_id)
    assert run is not None
    bench.instance.report_run_canceling(run)
    worker.send_signal(signal.SIGTERM)
    # The op ends by itself here; a stage op asks its runner to end first.
    (bench.folder / "slow.hold").unlink()
    worker.wait()
    assert bench.status() is DagsterRunStatus.CANCELED


def test_a_step_failure_is_reported_by_its_reason_alone() -> None:
    @op
    def failing() -> None:
        raise StepFailure("failed: exit code 3", metadata={"node": "here"}, allow_retries=False)

    @job
    def single() -> None:
        failing()

    (event,) = single.execute_in_process(raise_on_error=False).get_step_failure_events()
    data = event.step_failure_data
    assert data.error is not None
    assert (data.error.message, data.error.stack, data.error.cause) == ("failed: exit code 3", [], None)
    assert data.user_failure_data is not None
    assert data.user_failure_data.metadata["node"].value == "here"


def test_the_private_names_the_executor_leans_on_are_there() -> None:
    @op
    def only() -> None: ...

    @job
    def single() -> None:
        only()

    from dagster._core.execution.api import create_execution_plan

    with ActiveExecution(create_execution_plan(single), retry_mode=RetryMode.ENABLED) as active:
        assert active._instance_concurrency_context is None
        (step,) = active.get_steps_to_execute()
        assert active._executable == []
        assert active._in_flight == {step.key}
        active._executable.extend(active._in_flight)
        active._in_flight.clear()
        assert [again.key for again in active.get_steps_to_execute()] == [step.key]
        active.mark_success(step.key)
        assert active.is_complete
