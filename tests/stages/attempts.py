"""Runs attempts as the product does: real task directories, real runners, real containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from patience import until

from winslow_dagster.engines.local import LOCK_RELEASE_TIMEOUT_S
from winslow_dagster.locks import free_within
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.launchers.process.processes import ProcessLauncher
from winslow_dagster.stages.log import LogReader
from winslow_dagster.stages.runner.service import serve
from winslow_dagster.stages.task.directory import TaskDirectory
from winslow_dagster.stages.task.model import StageResult, StageTask
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest


@dataclass
class Place:
    """A Winslow home in which stages run as shell scripts, in one of the two modes."""

    home: Path
    mode: str
    image: str | None
    tasks: list[StageTask] = field(default_factory=list)

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.home / "store")

    @property
    def node(self) -> NodeSettings:
        return NodeSettings(node_dir=self.home)

    def task(self, script: str, **fields: Any) -> StageTask:
        task_id = f"{uuid.uuid4().hex[:12]}.{fields.get('stage', 'detect')}.1"
        values = {
            "project": "ulm-07",
            "pipeline": "traffic",
            "stage": "detect",
            "run_id": task_id.partition(".")[0],
            "image": self.image,
            "mode": self.mode,
            "output_address": f"projects/ulm-07/detect/{task_id}/output",
            "log_address": f"projects/ulm-07/detect/{task_id}/log",
            "store_url": (self.home / "store").as_uri(),
            "log_rules": LogRules(errors=("ERROR",)),
            "stop_grace_period_s": 1.0,
            "command": ("sh",),
            "args": ("-c", script),
            **fields,
        }
        task = StageTask(task_id=task_id, **values)
        self.tasks.append(task)
        self.directory(task).write_task(task)
        return task

    def directory(self, task: StageTask) -> TaskDirectory:
        return TaskDirectory.of(self.node.tasks_dir, task.task_id)

    def serve(self, task: StageTask) -> StageResult:
        """Serve the attempt in this process, as the engine does: a killed runner may hold its lock for a moment.

        A child that it has just forked holds the lock, too, until it executes another program.
        """
        assert free_within(self.directory(task).path / "runner.lock", LOCK_RELEASE_TIMEOUT_S)
        assert serve(self.directory(task).path, self.node) == 0
        result = self.directory(task).result()
        assert result is not None
        return result

    def run_unprivileged(self, script: str, **fields: Any) -> StageResult:
        """Run an attempt as an ordinary user, whom permissions bind."""
        task = self.task(script, **fields)
        assert self.start_runner(task, privileged=False).wait() == 0
        result = self.directory(task).result()
        assert result is not None
        return result

    def run(self, script: str, **fields: Any) -> StageResult:
        return self.serve(self.task(script, **fields))

    def start_runner(self, task: StageTask, *, privileged: bool = True) -> subprocess.Popen[bytes]:
        """Serve the attempt in a separate process, which may be killed, and which may lack the privileges of root."""
        return subprocess.Popen(
            [
                *(("setpriv", "--bounding-set=-all") if os.geteuid() == 0 and not privileged else ()),
                *(sys.executable, "-m", "winslow_dagster.stages.runner.service"),
                *(str(self.directory(task).path), self.node.model_dump_json()),
            ],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @contextmanager
    def running(self, task: StageTask) -> Iterator[subprocess.Popen[bytes]]:
        """A runner that is killed at the end of the block."""
        runner = self.start_runner(task)
        try:
            yield runner
        finally:
            runner.kill()
            runner.wait()

    def kill_runner_once(self, task: StageTask, what: str, holds: Callable[[], object]) -> None:
        """Start a runner and kill it with -9 once `holds` is true.

        A runner may have ended by then: then the kill has no effect, which must not change the result.
        """
        with self.running(task) as runner:
            until(what, lambda: runner.poll() is not None or holds())
            runner.kill()

    def text(self, manifest: Manifest | None, path: str) -> str:
        assert manifest is not None
        entry = next(entry for entry in manifest.files if entry.path == path)
        return self.store.read_range(manifest, entry, 0, entry.size_bytes).decode()

    def lines(self, task: StageTask) -> list[str]:
        """The lines of the stage in the log, without the runner's own lines."""
        return [line.text for line in LogReader(self.directory(task).log).lines() if line.stream != "winslow"]

    def number(self, task: StageTask, text: str) -> int:
        """The number of the line in the log."""
        return next(line.number for line in LogReader(self.directory(task).log).lines() if line.text == text)

    def runner_lines(self, task: StageTask) -> str:
        """The runner's own lines in the log."""
        return "\n".join(line.text for line in LogReader(self.directory(task).log).lines() if line.stream == "winslow")

    def phase(self, task: StageTask) -> str:
        status = self.directory(task).status()
        return status.phase if status else ""

    def reason(self, task: StageTask) -> str:
        status = self.directory(task).status()
        return status.reason if status else ""

    def printed(self, task: StageTask) -> int:
        """The number of the stage's lines in the log."""
        return len(self.lines(task)) if self.directory(task).log.exists() else 0

    def left_over(self, task: StageTask) -> list[str]:
        """Containers and processes of the attempt that still exist."""
        mark = f"WINSLOW_TASK_ID={task.task_id}"
        found = []
        for process in psutil.process_iter():
            try:
                if mark in (f"{name}={value}" for name, value in process.environ().items()):
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found + (containers(f"label=winslow.task={task.task_id}") if self.image else [])

    def remove(self) -> None:
        """Remove everything: pytest cannot delete all that stages can write."""
        self.clear()
        remove_directory(self.home)

    def clear(self) -> None:
        """Remove what a failed test left behind."""
        for task in self.tasks:
            if self.image:
                for container in containers(f"label=winslow.task={task.task_id}"):
                    subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=False)
            elif self.directory(task).result() is None and (self.directory(task).work / "process").exists():
                ProcessLauncher(task, self.directory(task)).remove()


def containers(condition: str) -> list[str]:
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--no-trunc", "--filter", condition], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def inspected(container: str) -> dict[str, Any]:
    shown = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(shown.stdout)[0]
    return found
