"""What the contract tests need for each kind of engine: a way to play the runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from patience import until, until_ended
from slurm_cluster import SlurmCluster
from slurm_installation import SlurmInstallation, slurm_installation
from starting_place import ROOT

from winslow_dagster.engines.engine import Engine, Node, Orphan
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.engines.runner_records import RunnerRecord
from winslow_dagster.engines.slurm.ledger import Ledger
from winslow_dagster.engines.spawn import ProcessIdentity
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.settings import Settings
from winslow_dagster.stages import process_supervisor
from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageStatus, StageTask


def a_task(stage: str = "detect", run_id: str = "run") -> StageTask:
    return StageTask(
        task_id=f"{run_id}.{stage}.1",
        project="ulm-07",
        pipeline="traffic",
        stage=stage,
        run_id=run_id,
        output_address=f"projects/ulm-07/{stage}/output",
        log_address=f"projects/ulm-07/{stage}/log",
        store_url="file:///nowhere/at/all",
        log_rules=LogRules(),
    )


class Driver(ABC):
    engine: Engine

    @abstractmethod
    def until_running(self, task: StageTask) -> None: ...

    @abstractmethod
    def end(self, task: StageTask) -> None: ...

    @abstractmethod
    def kill_runner(self, task: StageTask) -> None: ...

    @abstractmethod
    def let_runners_die(self, task: StageTask) -> None: ...

    @abstractmethod
    def after_start(self, task: StageTask) -> None: ...

    @abstractmethod
    def runners_started(self, task: StageTask) -> int: ...

    @abstractmethod
    def submitted(self, task: StageTask) -> StageTask: ...

    @abstractmethod
    def write_log(self, task: StageTask, text: str) -> None: ...

    @abstractmethod
    def leave_orphan(self, task: StageTask) -> None: ...

    def outcome(self, task: StageTask) -> str | None:
        result = self.engine.wait(task.task_id, timeout_s=60).result
        return result.outcome if result else None


class LocalDriver(Driver):
    """Real processes, real files; the runners are tiny ones."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = LocalEngine(settings, runner="tiny_runner")
        self.orphans: list[subprocess.Popen[bytes]] = []

    @classmethod
    @contextmanager
    def set_up(cls, request: pytest.FixtureRequest) -> Iterator[LocalDriver]:
        home: Path = request.getfixturevalue("tmp_path")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests", ROOT))))
            driver = cls(Settings.read({"WINSLOW_HOME": str(home), "WINSLOW_NODE_TAGS": "ulm.07,fast-disk"}))
            try:
                yield driver
            finally:
                driver.kill_all()

    def directory(self, task: StageTask) -> TaskDirectory:
        return TaskDirectory.of(self.settings.node.tasks_dir, task.task_id)

    def runner(self, task: StageTask) -> ProcessIdentity:
        start = RunnerRecord.read(self.directory(task))
        assert start is not None
        return ProcessIdentity(start.pid, start.create_time)

    def until_running(self, task: StageTask) -> None:
        until("the runner says something", lambda: self.directory(task).status() is not None)

    def end(self, task: StageTask) -> None:
        (self.directory(task).path / "end").touch()

    def kill_runner(self, task: StageTask) -> None:
        self.runner(task).kill()
        until_ended(self.runner(task))

    def let_runners_die(self, task: StageTask) -> None:
        (self.directory(task).path / "die").parent.mkdir(parents=True)
        (self.directory(task).path / "die").touch()

    def after_start(self, task: StageTask) -> None:
        until_ended(self.runner(task))

    def runners_started(self, task: StageTask) -> int:
        return len((self.directory(task).path / "began").read_text().split())

    def submitted(self, task: StageTask) -> StageTask:
        return self.stored(self.settings, task)

    @staticmethod
    def stored(settings: Settings, task: StageTask) -> StageTask:
        stored = TaskDirectory.of(settings.node.tasks_dir, task.task_id).task()
        assert stored is not None
        return stored

    def write_log(self, task: StageTask, text: str) -> None:
        with LogWriter(self.directory(task).log, task.log_rules) as writer:
            writer.write("stdout", text.encode())

    def leave_orphan(self, task: StageTask) -> None:
        """A process supervisor with a program, as a runner starts it."""
        directory = self.directory(task).work / "process"
        directory.mkdir(parents=True)
        spec = {
            "argv": ["sleep", "600"],
            "env": dict(os.environ),
            "secrets": {},
            "cwd": str(directory),
            "entrances": [],
            "read_only": [],
            **{name: str(directory / name) for name in ("stdout", "stderr", "failure")},
        }
        (directory / "spec.json").write_text(json.dumps(spec))
        supervisor = subprocess.Popen([sys.executable, "-I", "-S", process_supervisor.__file__, str(directory)])
        self.orphans.append(supervisor)
        until("the program runs", lambda: process_supervisor.descendants(supervisor.pid))

    def kill_all(self) -> None:
        for orphan in self.orphans:
            orphan.kill()
            orphan.wait()
        for path in self.settings.node.tasks_dir.glob("*/runner_start.json"):
            start = RunnerRecord.read(TaskDirectory(path.parent))
            assert start is not None
            ProcessIdentity(start.pid, start.create_time).kill()


class SlurmDriver(Driver):
    """Real jobs on a real cluster, with real agents; their runners are tiny ones. The partition has one node."""

    NODE = "s3"
    PARTITION = "contract"

    def __init__(self, installation: SlurmInstallation) -> None:
        self.installation = installation
        self.engine = installation.engine

    @classmethod
    @contextmanager
    def set_up(cls, request: pytest.FixtureRequest) -> Iterator[SlurmDriver]:
        cluster: SlurmCluster = request.getfixturevalue("session_slurm_cluster")
        if cls.PARTITION not in cluster.slurm("sinfo", "--noheader", "--all", "--format=%P").split():
            cluster.slurm("scontrol", "create", f"PartitionName={cls.PARTITION}", f"Nodes={cls.NODE}", "State=UP")
            features = "ulm.07,fast-disk"
            cluster.slurm(
                "scontrol",
                "update",
                f"NodeName={cls.NODE}",
                f"AvailableFeatures={features}",
                f"ActiveFeatures={features}",
            )
        home: Path = request.getfixturevalue("tmp_path")
        partition = {"WINSLOW_SLURM_PARTITION": cls.PARTITION}
        with slurm_installation(cluster, home, agent="tiny_agent", environment=partition) as installation:
            try:
                yield cls(installation)
            finally:
                installation.engine.undrain(cls.NODE)

    def ledger(self, task: StageTask) -> Ledger:
        return Ledger.read(TaskDirectory.of(self.installation.settings.node.tasks_dir, task.task_id))

    def serving(self, task: StageTask) -> TaskDirectory:
        """Where the last submission's agent works."""
        until("its agent has begun", lambda: self.ledger(task).greeted)
        number = self.ledger(task).serving
        until("its directory is there", lambda: self.installation.serving(task.task_id, number).task() is not None)
        return self.installation.serving(task.task_id, number)

    def until_running(self, task: StageTask) -> None:
        def runs() -> bool:
            status = self.engine.status(task.task_id).status
            return status is not None and status.phase == "running"

        until("its runner says something", runs)

    def end(self, task: StageTask) -> None:
        (self.serving(task).path / "end").touch()

    def kill_runner(self, task: StageTask) -> None:
        last = self.ledger(task).last
        assert last is not None
        self.installation.cluster.slurm("scancel", "--full", "--signal=KILL", last.job_id)
        until("its job is gone", lambda: last.job_id not in self.installation.jobs())

    def let_runners_die(self, task: StageTask) -> None:
        del task
        node_dir = self.installation.node_dir(self.NODE)
        node_dir.mkdir(parents=True)
        (node_dir / "die").touch()

    def after_start(self, task: StageTask) -> None:
        del task
        until("its job is gone", lambda: not self.installation.jobs())

    def runners_started(self, task: StageTask) -> int:
        return self.ledger(task).serving

    def submitted(self, task: StageTask) -> StageTask:
        return LocalDriver.stored(self.installation.settings, task)

    def write_log(self, task: StageTask, text: str) -> None:
        self.until_running(task)
        with LogWriter(self.serving(task).log, task.log_rules) as writer:
            writer.write("stdout", text.encode())
        last = text.splitlines()[-1]
        until(
            "the log has arrived",
            lambda: [line.text for line in self.engine.log(task.task_id).tail(1)] == [last],
        )

    def leave_orphan(self, task: StageTask) -> None:
        """A job that is not the task's own."""
        name = self.engine._job_name(task.task_id)  # nobody else gives jobs such names
        script = "#!/bin/sh\nexec sleep 600\n"
        self.installation.cluster.slurm(
            "sbatch", f"--job-name={name}", f"--partition={self.PARTITION}", "--output=/dev/null", given=script
        )


class MemoryDriver(Driver):
    engine: InMemoryEngine

    def __init__(self) -> None:
        self.engine = InMemoryEngine((Node(name="memory", cpus=1, memory_bytes=1 << 30, tags=("ulm.07", "fast-disk")),))

    @classmethod
    @contextmanager
    def set_up(cls, _: pytest.FixtureRequest) -> Iterator[MemoryDriver]:
        yield cls()

    def until_running(self, task: StageTask) -> None:
        now = datetime.now(UTC)
        self.engine.report(
            StageStatus(task_id=task.task_id, phase="running", reason="it waits for the test", updated_at=now)
        )

    def end(self, task: StageTask) -> None:
        self.engine.end(task.task_id)

    def kill_runner(self, task: StageTask) -> None:
        self.engine.lose_runner(task.task_id)

    def let_runners_die(self, task: StageTask) -> None:
        pass

    def after_start(self, task: StageTask) -> None:
        self.engine.lose_runner(task.task_id)

    def runners_started(self, task: StageTask) -> int:
        return sum(submitted == task for submitted in self.engine.tasks)

    def submitted(self, task: StageTask) -> StageTask:
        return {one.task_id: one for one in self.engine.tasks}[task.task_id]

    def write_log(self, task: StageTask, text: str) -> None:
        self.engine.write_log(task.task_id, text)

    def leave_orphan(self, task: StageTask) -> None:
        self.engine.leave_orphan(Orphan(task_id=task.task_id, kind="process"))
