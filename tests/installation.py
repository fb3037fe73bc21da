"""A complete Winslow installation in its own directory, whose processes can be killed. For system tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import forked_programs
import psutil
from log_in import Cookie, authorization, let_in, log_in

from winslow_dagster.jobs.worker import worker_pid
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.projects.dagster_api.connection import dagster_client
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.services import Services
from winslow_dagster.services.instance import installation_id
from winslow_dagster.settings import Settings
from winslow_dagster.stages.launchers.process.processes import SupervisorRecord
from winslow_dagster.stages.task.directory import TaskDirectory, read_value

LOOK_EVERY_S = 0.2
"""A look may be a query or a walk over all processes: too often, and it takes the processor from what is waited for."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], bool], what: str, within_s: float = inf) -> None:
    """Returns once it holds; by default the time limit of the test is the only one."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out after {within_s:g} s: {what}"
        time.sleep(LOOK_EVERY_S)


@dataclass
class Installation:
    """Services, a store and pipelines in `folder`. With `image` None, stages run as processes.

    With `new_interpreter`, the services are started as `winslow up` starts them, and not as forks.
    """

    folder: Path
    image: str | None
    pipelines: dict[str, str]
    database_url: str | None = None
    supervisor: forked_programs.Forked | subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=free_port)
    new_interpreter: bool = False

    def __post_init__(self) -> None:
        pipelines = self.folder / "pipelines"
        pipelines.mkdir()
        for name, text in self.pipelines.items():
            (pipelines / f"{name}.yaml").write_text(text)
        self.environment = {
            **os.environ,
            "WINSLOW_HOME": str(self.folder / "home"),
            "WINSLOW_PIPELINES_DIR": str(pipelines),
            "WINSLOW_PORT": str(self.port),
            "WINSLOW_STAGE_MODE": "docker" if self.image else "process",
        }
        if self.database_url:
            self.environment["WINSLOW_DATABASE_URL"] = self.database_url
        self.use()

    def use(self, **variables: str) -> None:
        """Set WINSLOW_* variables for services started after this."""
        self.environment |= variables
        self.settings = Settings.read(self.environment)
        self.services = Services(self.settings)

    def up(self) -> None:
        """Start the services and wait until they are ready."""
        let_in(self.settings)
        self.settings.home.mkdir(exist_ok=True)
        log = self.folder / "supervisor.log"
        start = forked_programs.start_anew if self.new_interpreter else forked_programs.start
        # The home is there for whoever looks for the processes of this installation by their titles.
        self.supervisor = start("winslow_dagster.services", [str(self.settings.home)], self.environment, log)
        try:
            self.services.wait_until_ready(self.supervisor, log)
        except BaseException:  # also whoever ends the tests: no fixture does it for services that are not ready
            self.down()
            raise

    def dagster(self) -> DagsterClient:
        """The client of its web server."""
        return dagster_client(self.settings, installation_id(self.settings))

    @property
    def authorization(self) -> dict[str, str]:
        """The headers that the web server accepts from programs of the installation."""
        return authorization(self.settings)

    def cookie(self, role: Role = "admin") -> Cookie:
        """The cookie of the browser of a person with this role."""
        return log_in(self.settings, role)

    def ask(self, query: str) -> dict[str, Any]:
        """The web server's answer to a GraphQL query."""
        return self.dagster()._ask(query)

    def down(self) -> None:
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.terminate()
            self.supervisor.wait()

    # Processes that can be killed. Each method returns the current ones.

    def run_worker(self) -> list[int]:
        locks = (self.settings.home / "runs").glob("*.lock")
        return [pid for lock in locks if (pid := worker_pid(lock)) is not None]

    def service(self, name: str) -> list[int]:
        try:
            state = json.loads((self.settings.home / "services.json").read_text())
        except (FileNotFoundError, ValueError):
            return []
        return [state["services"][name]] if name in state["services"] else []

    def stage_runner(self) -> list[int]:
        """The running stage runners of unfinished attempts."""
        pids = []
        for path in self.settings.node.tasks_dir.glob("*/runner.pid"):
            directory = TaskDirectory(path.parent)
            if directory.runner_alive():
                pids.append(int(json.loads(path.read_text())["pid"]))
        return pids

    def stage(self) -> list[int]:
        """The processes of running stages, in containers or not; without the init process of containers."""
        return list(self.tasks_of_stages())

    def tasks_of_stages(self) -> dict[int, str]:
        """The processes of running stages with their task ids."""
        tasks = self.task_ids()
        found = {process.pid: environ(process).get("WINSLOW_TASK_ID", "") for process in psutil.process_iter()}
        inits = self.tasks_of_containers() if self.image else {}
        return {pid: task_id for pid, task_id in found.items() if task_id in tasks and pid not in inits}

    def tasks_of_containers(self) -> dict[int, str]:
        """The first process of each container that runs a stage, with its task id."""
        mine = f"label=winslow.home={self.settings.node.tasks_dir}"
        names = subprocess.run(["docker", "ps", "-q", "--filter", mine], capture_output=True, text=True, check=True)
        shown = '{{.State.Pid}} {{index .Config.Labels "winslow.task"}}'
        # Some may be gone by now; the others are shown all the same.
        lines = subprocess.run(
            ["docker", "inspect", "--format", shown, *names.stdout.split()], capture_output=True, text=True, check=False
        ).stdout.splitlines()
        return {int(pid): task_id for pid, task_id in map(str.split, lines) if pid != "0"}

    def tasks_of_process_supervisors(self) -> dict[int, str]:
        """The parents of stages that run as processes, with their task ids."""
        records = self.settings.node.tasks_dir.glob("*/work/process/process_supervisor.json")
        found = ((path.parents[2].name, read_value(path, SupervisorRecord)) for path in records)
        return {record.pid: task_id for task_id, record in found if record is not None and record.is_alive}

    def task_ids(self) -> set[str]:
        tasks = self.settings.node.tasks_dir
        return {path.name for path in tasks.iterdir()} if tasks.exists() else set()

    def everything(self) -> list[int]:
        assert self.supervisor is not None
        victims = [self.supervisor.pid, *self.run_worker(), *self.stage_runner(), *self.stage()]
        for name in ("daemon", "code-server", "web-server", "runner-fork-server", "worker-fork-server"):
            victims += self.service(name)
        return victims

    def processes(self) -> list[psutil.Process]:
        """All processes of this installation: stages by their task; the others by their home.

        That is among the variables of a process, or, where it is a fork, in its title.
        """
        home, tasks = str(self.settings.home), self.task_ids()
        own = []
        for process in psutil.process_iter():
            variables, title = environ(process), " ".join(cmdline(process))
            named = variables.get("WINSLOW_HOME") == home or ("winslow_dagster" in title and home in title)
            ours = named or variables.get("WINSLOW_TASK_ID") in tasks
            if ours and process.pid != os.getpid():
                own.append(process)
        return own


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def kill(pids: list[int]) -> int:
    """Send SIGKILL to each; returns how many were running."""
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1
    return killed
