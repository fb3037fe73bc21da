"""The run launcher: what it tells of a worker is what the kernel knows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job, op
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from processes import running

from winslow_dagster.jobs.launcher import ProcessRunLauncher
from winslow_dagster.jobs.worker import serve, worker_pid

INSTANCE = """
telemetry: {enabled: false}
run_launcher: {module: winslow_dagster.jobs.launcher, class: ProcessRunLauncher}
run_monitoring: {enabled: true, max_resume_run_attempts: 100}
"""
LOOK = """
import sys; from pathlib import Path; from winslow_dagster.jobs.worker import worker_pid
print("looking", flush=True)
while True: worker_pid(Path(sys.argv[1]))
"""
HOLD = """
import sys; from pathlib import Path; from winslow_dagster.jobs.worker import serve
print(serve(Path(sys.argv[1])), flush=True); sys.stdin.read()
"""


@op
def nothing() -> None: ...


@job
def empty() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as made:
        yield made


def holder(lock: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that tries to take the lock, and keeps it until its stdin is closed."""
    return running([sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def printed_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_lock_names_its_holder_until_the_holder_dies_however_it_dies(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    assert worker_pid(lock) is None
    with holder(lock) as first:
        assert printed_line(first) == "True"
        assert worker_pid(lock) == first.pid
        with holder(lock) as second:
            assert printed_line(second) == "False"
            second.kill()
        assert worker_pid(lock) == first.pid
        first.kill()
        first.wait()
    assert worker_pid(lock) is None


def test_a_look_at_the_lock_never_keeps_a_worker_from_taking_it(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    lock.touch()
    with running([sys.executable, "-c", LOOK, str(lock)], stdout=subprocess.PIPE, text=True) as looker:
        assert printed_line(looker) == "looking"
        for _ in range(20):
            with holder(lock) as worker:
                assert printed_line(worker) == "True"
                worker.kill()
        looker.kill()


def test_a_run_without_a_lock_file_is_somebody_elses_and_counts_as_healthy(instance: DagsterInstance) -> None:
    run = instance.create_run_for_job(empty)
    launcher = instance.run_launcher
    assert isinstance(launcher, ProcessRunLauncher)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING


def test_a_run_whose_lock_nobody_holds_has_lost_its_worker(instance: DagsterInstance, tmp_path: Path) -> None:
    run = instance.create_run_for_job(empty)
    lock = tmp_path / "home" / "runs" / f"{run.run_id}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    launcher = instance.run_launcher
    assert launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND
    with holder(lock) as worker:
        assert printed_line(worker) == "True"
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        worker.kill()


def test_cancelling_a_run_whose_worker_is_gone_ends_it_at_once(instance: DagsterInstance) -> None:
    run = instance.create_run_for_job(empty, status=DagsterRunStatus.STARTED)
    assert instance.run_launcher.terminate(run.run_id) is True
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is DagsterRunStatus.CANCELED
    assert instance.run_launcher.terminate(run.run_id) is False


def test_the_private_names_the_launcher_leans_on_are_there() -> None:
    assert {"launch_run", "resume_run", "terminate", "check_run_worker_health"} <= set(dir(RunLauncher))
    assert CheckRunHealthResult(WorkerStatus.NOT_FOUND, "why").msg == "why"
    for arguments, command in ((ExecuteRunArgs, "execute_run"), (ResumeRunArgs, "resume_run")):
        made = arguments(job_origin=_origin(), run_id="r", instance_ref=None, set_exit_code_on_failure=True)
        assert list(made.get_command_args())[-2] == command


def _origin() -> object:
    from dagster import reconstructable

    return reconstructable(empty).get_python_origin()


def test_this_process_can_take_a_free_lock(tmp_path: Path) -> None:
    assert serve(tmp_path / "own.lock")
    assert worker_pid(tmp_path / "own.lock") == os.getpid()
