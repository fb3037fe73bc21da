"""The engine of one machine, beyond the contract."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from engine_drivers import LocalDriver, a_task
from patience import until, until_there
from processes import running
from starting_place import ROOT

from winslow_dagster.engines.local import LIVENESS_POLL_S, LocalEngine
from winslow_dagster.engines.runner_records import MAX_FAILED_STARTS, RunnerRecord
from winslow_dagster.errors import EngineError
from winslow_dagster.pipelines import SecretReference
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.settings import Settings
from winslow_dagster.stages.gpu_allocator import read_node_gpus, write_node_gpus
from winslow_dagster.stages.task.model import LogSummary, NodeGpu, StageStatus, StageTask
from winslow_dagster.storage.secrets import SecretStore

SUBMITTER = """
import os, sys
from engine_drivers import a_task
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.settings import Settings
engine = LocalEngine(Settings.read(), runner="tiny_runner")
os.read(0, 1)
engine.submit(a_task())
"""


class Opens:
    """The files this process opens while it is on. A hook of the interpreter, which stays for ever."""

    def __init__(self) -> None:
        self.on = False
        self.paths: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event == "open":
            self.paths.append(str(arguments[0]))


@pytest.fixture
def local(request: pytest.FixtureRequest) -> Iterator[LocalDriver]:
    with LocalDriver.set_up(request) as driver:
        yield driver


def die(local: LocalDriver, how: str, starts: int) -> None:
    """Submit so often, each time to a runner that dies."""
    local.directory(a_task()).path.mkdir(parents=True, exist_ok=True)
    (local.directory(a_task()).path / how).touch()
    for _ in range(starts):
        local.engine.submit(a_task())
        local.after_start(a_task())


def test_a_task_whose_first_runner_is_yet_to_be_started_has_lost_none(local: LocalDriver) -> None:
    local.directory(a_task()).write_task(a_task())
    assert local.engine.explain(a_task().task_id) == "The stage runner is starting."


@pytest.mark.slow
def test_submits_from_many_processes_at_once_start_exactly_one_runner(local: LocalDriver) -> None:
    submitters = [
        subprocess.Popen(
            [sys.executable, "-c", SUBMITTER],
            env={**os.environ, "WINSLOW_HOME": str(local.settings.home)},
            stdin=subprocess.PIPE,
        )
        for _ in range(6)
    ]
    for submitter in submitters:
        assert submitter.stdin is not None
        submitter.stdin.write(b"!")
        submitter.stdin.close()

    assert [submitter.wait() for submitter in submitters] == [0] * 6
    local.until_running(a_task())
    assert local.runners_started(a_task()) == 1


def test_a_runner_outlives_the_process_that_submitted(local: LocalDriver) -> None:
    killed = SUBMITTER + "os.kill(os.getpid(), 9)\n"
    subprocess.run(
        [sys.executable, "-c", killed],
        env={**os.environ, "WINSLOW_HOME": str(local.settings.home)},
        input=b"!",
        check=False,
    )

    assert local.engine.status(a_task().task_id).served
    local.end(a_task())
    assert local.outcome(a_task()) == "succeeded"


def test_another_process_sees_and_cancels_what_one_submitted(local: LocalDriver) -> None:
    local.engine.submit(a_task())

    elsewhere = LocalEngine(local.settings)
    elsewhere.cancel(a_task().task_id, "from elsewhere")

    assert local.outcome(a_task()) == "cancelled"


def test_a_runner_that_something_else_started_counts(local: LocalDriver) -> None:
    directory = local.directory(a_task())
    directory.write_task(a_task())
    with running([sys.executable, "-m", "tiny_runner", str(directory.path)], env=os.environ) as runner:
        local.until_running(a_task())

        local.engine.submit(a_task())

        assert local.engine.status(a_task().task_id).served
        assert local.runners_started(a_task()) == 1
        runner.kill()


def test_a_start_before_the_last_boot_is_not_taken_for_alive(local: LocalDriver) -> None:
    local.engine.submit(a_task())
    start = RunnerRecord.read(local.directory(a_task()))
    assert start is not None

    assert start.alive()
    assert not start.model_copy(update={"boot_id": "another"}).alive()


def test_the_runner_has_the_settings_of_the_engine(local: LocalDriver) -> None:
    local.engine.submit(a_task())

    environment = psutil.Process(local.runner(a_task()).pid).environ()

    assert environment["WINSLOW_HOME"] == str(local.settings.home)


def test_the_runner_has_none_of_the_passwords_of_the_control_plane(
    local: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WINSLOW_DATABASE_URL", "PGPASSWORD", "DAGSTER_POSTGRES_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "sentinel")
    local.engine.submit(a_task())

    environment = psutil.Process(local.runner(a_task()).pid).environ()

    assert [name for name, value in environment.items() if value == "sentinel"] == ["AWS_SECRET_ACCESS_KEY"]


def with_secret() -> StageTask:
    return a_task().model_copy(update={"env_layers": ({"TOKEN": SecretReference(secret="LAB_TOKEN")},)})


def test_a_task_gets_the_values_of_its_secrets_in_files_of_its_own(local: LocalDriver) -> None:
    SecretStore(local.settings.secrets_dir).set("LAB_TOKEN", "the value")

    local.engine.submit(with_secret())

    directory = local.directory(a_task())
    assert directory.read_secrets() == {"TOKEN": "the value"}
    assert "the value" not in (directory.path / "task.json").read_text()


def test_a_task_whose_secret_is_not_stored_fails_and_starts_no_runner(local: LocalDriver) -> None:
    local.engine.submit(with_secret())

    result = local.engine.status(a_task().task_id).result
    assert result is not None
    assert (result.outcome, result.message) == ("failed", "the secret LAB_TOKEN is not stored. Store the secret")
    assert not (local.directory(a_task()).path / "began").exists()


def test_a_lost_task_leaves_no_secret_on_the_node(local: LocalDriver) -> None:
    SecretStore(local.settings.secrets_dir).set("LAB_TOKEN", "the value")
    local.directory(a_task()).path.mkdir(parents=True)
    (local.directory(a_task()).path / "die").touch()
    for _ in range(MAX_FAILED_STARTS):
        local.engine.submit(with_secret())
        local.after_start(a_task())
    assert local.directory(a_task()).read_secrets() == {"TOKEN": "the value"}

    local.engine.submit(with_secret())

    assert local.engine.status(a_task().task_id).result is not None
    assert local.directory(a_task()).read_secrets() == {}


def test_the_last_log_lines_of_lost_runners_are_quoted(local: LocalDriver) -> None:
    die(local, "die", MAX_FAILED_STARTS)

    local.engine.submit(a_task())

    result = local.engine.status(a_task().task_id).result
    assert result is not None
    assert result.outcome == "lost"
    assert "Its last log lines: the disk has a hole | the disk has a hole" in result.message
    assert local.runners_started(a_task()) == MAX_FAILED_STARTS


def test_a_task_that_gets_further_each_time_is_never_lost(local: LocalDriver) -> None:
    die(local, "die_after_status", MAX_FAILED_STARTS + 2)

    assert local.engine.status(a_task().task_id).result is None
    assert local.runners_started(a_task()) == MAX_FAILED_STARTS + 2


def test_a_task_whose_runners_lived_long_is_never_lost() -> None:
    began = datetime.now(UTC)
    start = RunnerRecord(
        pid=1, create_time=1, boot_id="", started_at=began, progress=("running", 7), failed_starts=MAX_FAILED_STARTS - 1
    )

    def status_at(after: timedelta) -> StageStatus:
        return StageStatus(
            task_id="run.detect.1", phase="running", updated_at=began + after, log=LogSummary(size_bytes=7)
        )

    assert start.failed_starts_after(status_at(timedelta(seconds=1))) == MAX_FAILED_STARTS
    assert start.failed_starts_after(status_at(timedelta(minutes=1))) == 0


def test_a_task_that_was_cancelled_before_its_runners_were_lost_is_cancelled(local: LocalDriver) -> None:
    die(local, "die", MAX_FAILED_STARTS)

    local.engine.cancel(a_task().task_id, "not needed any more")

    result = local.engine.status(a_task().task_id).result
    assert result is not None
    assert result.outcome == "cancelled"
    assert "not needed any more" in result.message


def test_an_outcome_that_stands_is_kept_when_runners_die_of_cleaning_up(local: LocalDriver) -> None:
    (local.directory(a_task()).path).mkdir(parents=True)
    local.end(a_task())
    die(local, "die_after_outcome", MAX_FAILED_STARTS + 1)

    local.engine.submit(a_task())

    assert local.outcome(a_task()) == "succeeded"


def test_a_runner_that_cannot_be_started_is_an_error(local: LocalDriver) -> None:
    (local.directory(a_task()).path / "runner.log").mkdir(parents=True)

    with pytest.raises(EngineError, match=r"tiny_runner could not be started.*runner\.log"):
        local.engine.submit(a_task())


def test_a_directory_that_holds_nonsense_is_an_error_with_its_place(local: LocalDriver) -> None:
    local.directory(a_task()).path.mkdir(parents=True)
    (local.directory(a_task()).path / "result.json").write_text("nonsense")

    with pytest.raises(EngineError, match=r"result\.json cannot be read"):
        local.engine.status(a_task().task_id)


def test_reading_the_state_a_thousand_times_opens_no_file_that_has_not_changed(local: LocalDriver) -> None:
    opens = Opens()
    local.engine.submit(a_task())
    local.until_running(a_task())
    began = time.monotonic()
    opens.on = True
    try:
        for _ in range(1000):
            assert local.engine.status(a_task().task_id).status is not None
    finally:
        opens.on = False
    looks = (time.monotonic() - began) / LIVENESS_POLL_S + 1
    of_the_task = [path for path in opens.paths if a_task().task_id in path]

    assert len(of_the_task) <= 2 * looks + 1


def test_a_result_is_read_once(local: LocalDriver) -> None:
    local.engine.submit(a_task())
    local.end(a_task())
    assert local.outcome(a_task()) == "succeeded"

    (local.directory(a_task()).path / "result.json").unlink()

    assert local.outcome(a_task()) == "succeeded"


def test_an_interrupted_deletion_is_finished_by_the_next_tidying(local: LocalDriver) -> None:
    rest = local.settings.node.tasks_dir / ".forgotten-run.old.1" / "log"
    rest.mkdir(parents=True)

    assert local.engine.tidy(datetime.now(UTC), ()) == ()

    assert list(local.settings.node.tasks_dir.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a directory that cannot be deleted")
def test_a_directory_that_cannot_be_deleted_keeps_no_other_from_being_tidied(local: LocalDriver) -> None:
    tasks = local.settings.node.tasks_dir
    held, other = tasks / ".forgotten-run.a.1" / "output", tasks / ".forgotten-run.b.1" / "output"
    for directory in (held, other):
        directory.mkdir(parents=True)
        directory.chmod(0)
    subprocess.run(["mount", "-t", "tmpfs", "none", held], check=True)
    try:
        with pytest.raises(EngineError, match=r"forgotten-run\.a\.1: cannot be deleted: Device or resource busy"):
            local.engine.tidy(datetime.now(UTC), ())
        assert [path.name for path in tasks.iterdir()] == [".forgotten-run.a.1"]
        assert local.engine.leftovers({"run.a.1"}).keys() == {"run.a.1"}
    finally:
        subprocess.run(["umount", held], check=True)
    assert local.engine.forget("run.a.1")
    assert not local.engine.forget("run.a.1")
    assert list(tasks.iterdir()) == []


def test_an_engine_watches_any_number_of_tasks_in_bounded_memory(local: LocalDriver) -> None:
    for number in range(1500):
        local.engine.status(f"run.{number}.1")

    assert isinstance(local.engine, LocalEngine)
    assert len(local.engine._cached) <= 1000


def test_runners_are_forked_by_the_fork_server_if_one_answers(
    local: LocalDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="winslow_dagster.engines.spawn")
    socket = local.settings.sockets_dir / "runners.sock"
    with running(
        [
            sys.executable,
            "-m",
            "winslow_dagster.engines.fork_server",
            "--socket",
            str(socket),
            "--preload",
            "tiny_runner",
        ],
        cwd=ROOT,
    ) as server:
        until_there(socket)
        local.engine.submit(a_task())
        local.until_running(a_task())
        server.kill()
    local.end(a_task())

    assert local.outcome(a_task()) == "succeeded"
    assert "plain start" not in caplog.text


def test_the_engine_of_the_settings_is_this_machine(tmp_path: Path) -> None:
    from winslow_dagster.engines.factory import open_engine

    engine = open_engine(Settings.read({"WINSLOW_HOME": str(tmp_path)}))

    assert isinstance(engine, LocalEngine)
    assert engine.tidy(datetime.now(UTC), ()) == ()
    engine.cancel_run("run", "nothing is there yet")
    until("it answers", lambda: not engine.status("run.nothing.1").known)


def test_runners_know_the_gpus_of_the_node(local: LocalDriver) -> None:
    gpus_dir = local.settings.home / "gpus"
    taken_out = NodeGpu(uuid="GPU-1", index=0, vendor="nvidia", name="taken out since", memory_bytes=1)
    write_node_gpus(gpus_dir, [taken_out])

    local.engine.submit(a_task().model_copy(update={"gpu": Gpu(optional=True)}))

    assert read_node_gpus(gpus_dir) == local.engine.nodes()[0].gpus
    write_node_gpus(gpus_dir, [taken_out])
    local.engine.usable_gpus()
    assert read_node_gpus(gpus_dir) == local.engine.nodes()[0].gpus
