"""Runs stages as plain processes without Docker: the same task, with the limits that this system permits.

The program is a child of a process supervisor (`process_supervisor.py`), not of the runner: if the runner dies, the
next one finds the supervisor by its pid and start time.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
from typing_extensions import override

from winslow_dagster.errors import EngineError, StageFailed
from winslow_dagster.formatting import format_size
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages import process_supervisor
from winslow_dagster.stages.launchers.base import ExitStatus, Launch, Places, Signal, StageLauncher, Usage
from winslow_dagster.stages.launchers.process import cgroups
from winslow_dagster.stages.launchers.process.file_log import follow_files
from winslow_dagster.stages.launchers.stage_variables import granted_cpus
from winslow_dagster.stages.log import LogWriter
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_quickly
from winslow_dagster.stages.task.model import StageTask

SIGNALS: dict[Signal, signal.Signals] = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL}
SHELL_SIGNAL_BASE = 128
INHERITED = ("HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "SHELL", "TZ", "USER", "VIRTUAL_ENV")
"""The variables that a stage inherits. Others may contain secrets."""
GONE_WITHIN_S = 30.0
LOOK_AGAIN_S = 0.02


class Spec(Frozen):
    """The order to the process supervisor, kept for later runners. `secrets`: variables whose values are in files."""

    argv: tuple[str, ...]
    env: dict[str, str]
    secrets: dict[str, str]
    cwd: str
    stdout: str
    stderr: str
    failure: str
    entrances: tuple[str, ...]
    read_only: tuple[str, ...] = ()
    memory_group: Path | None
    cpu_group: Path | None
    unenforced: tuple[str, ...]

    @property
    def limits(self) -> cgroups.Limits:
        """The control groups of the attempt."""
        return cgroups.Limits(self.memory_group, self.cpu_group)


class SupervisorRecord(Frozen):
    """Identifies the process supervisor."""

    pid: int
    create_time_s: float

    @property
    def is_alive(self) -> bool:
        """Whether the supervisor is running, as opposed to another process with its pid."""
        return process_supervisor.create_time_s(self.pid) == self.create_time_s


class ExitRecord(Frozen):
    """Written by the process supervisor at the end. `status` is a wait status (wait(2))."""

    status: int
    peak_memory_bytes: int


class FailureRecord(Frozen):
    """Why the program could not start."""

    failure: str


class ProcessLauncher(StageLauncher):
    """Controls one attempt's process supervisor and its descendants."""

    mode = "process"

    def __init__(self, task: StageTask, directory: TaskDirectory) -> None:
        self._task = task
        self._directory = directory
        self._home = directory.work / "process"
        self.places = Places(
            input=str(directory.work / "input"),
            resources=str(directory.work / "resources"),
            output=str(directory.output),
            checkpoint=str(directory.checkpoint),
            secrets=str(directory.secrets),
        )
        self._spec = read_value(self._home / "spec.json", Spec)
        self._supervisor = read_value(self._home / "process_supervisor.json", SupervisorRecord)
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._handle: int | None = None
        self._exit: ExitStatus | None = None
        self._over_memory = False
        self._cpu_s: dict[int, float] = {}

    @property
    @override
    def image_digest(self) -> None:
        return None

    @property
    @override
    def unenforced(self) -> tuple[str, ...]:
        return self._spec.unenforced if self._spec else ()

    @override
    def started(self) -> bool:
        return self._supervisor is not None

    @override
    def start(self, launch: Launch) -> None:
        if not self._task.command:
            raise StageFailed(
                "the stage has no command to run as a process",
                where=f"stage {self._task.stage}",
                remedy="Give it a `command`, or run it on a machine with Docker",
            )
        present(launch.inputs, Path(self.places.input))
        present(launch.resources, Path(self.places.resources))
        for directory in (self._home, self._directory.work / "cwd", self._directory.work / "tmp"):
            directory.mkdir(exist_ok=True)
        self._spec = self._spec_of(launch)
        write_quickly(self._home / "spec.json", self._spec.model_dump_json())
        with (self._home / "process_supervisor.err").open("ab") as stderr:
            # In a session of its own: no terminal, no signals of this process group, and it outlives this process.
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", process_supervisor.__file__, str(self._home)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                cwd="/",
                # The program can read the environment of its parent.
                env=inherited(),
            )
        with self._child.stdout or contextlib.nullcontext() as claimed:
            if claimed is not None:
                claimed.read()
        self._supervisor = read_value(self._home / "process_supervisor.json", SupervisorRecord)
        if self._supervisor is None:
            text = (self._home / "process_supervisor.err").read_text(encoding="utf-8", errors="replace").strip()
            raise StageFailed(f"the process supervisor could not start: {text}", where=f"stage {self._task.stage}")
        self.attach()

    @override
    def attach(self) -> None:
        if self._supervisor is None:
            raise EngineError("no program was started", where=self._task.task_id)
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self._supervisor.pid)
            if self._supervisor_is_alive():
                self._handle = handle
                return
            os.close(handle)
        self._finish()

    @override
    def follow(self, writer: LogWriter, stop: threading.Event) -> str:
        return follow_files(self._home, self._directory.log, writer, self._ended, stop)

    @override
    def wait(self, timeout_s: float) -> ExitStatus | None:
        if self._exit is None and self._handle is not None:
            ready, _, _ = select.select([self._handle], [], [], timeout_s)
            if ready:
                self._finish()
        return self._exit

    @override
    def send(self, signal: Signal) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGNALS[signal])

    @override
    def look(self) -> str:
        limit_bytes = self._task.memory_bytes
        if limit_bytes and self._spec is not None and self._spec.memory_group is None:
            pids = self._processes()
            # Resident sizes count shared pages once per process; the exact sum is expensive and rarely needed.
            self._over_memory = used(pids, "rss") > limit_bytes and used(pids, "pss") > limit_bytes
            if self._over_memory:
                self.send("KILL")
        return ""

    @override
    def usage(self) -> Usage:
        if self._exit is not None:
            return Usage()
        limits = self._spec.limits if self._spec else cgroups.Limits(None, None)
        cpu_s = cgroups.cpu_time_s(limits.cpu) if limits.cpu else None
        memory_bytes = cgroups.memory_bytes(limits.memory) if limits.memory else None
        if cpu_s is None or memory_bytes is None:
            pids = self._processes()
            cpu_s = self._processor_s(pids) if cpu_s is None else cpu_s
            memory_bytes = used(pids, "rss") if memory_bytes is None else memory_bytes
        return Usage(cpu_s, memory_bytes)

    def _processor_s(self, pids: list[int]) -> float:
        """The processor time of these processes and of those that ended before: it never falls."""
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                self._cpu_s[pid] = times.user + times.system
        return sum(self._cpu_s.values())

    @override
    def chown_outputs(self) -> str:
        return ""

    @override
    def remove(self) -> None:
        deadline = time.monotonic() + GONE_WITHIN_S
        while remaining := list(self._remaining()):
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise EngineError(
                    f"processes {remaining} of the stage cannot be killed",
                    where=self._task.task_id,
                    remedy="They are probably waiting for a device or a disk; inspect them with ps -o pid,stat,wchan",
                )
            time.sleep(LOOK_AGAIN_S)  # Only its parent can wait for a process.
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._child is not None:
            self._child.wait()
        if self._spec is not None:
            self._spec.limits.remove()

    def _spec_of(self, launch: Launch) -> Spec:
        task = self._task
        cpus = granted_cpus(task)
        limits = cgroups.limited(task.task_id, task.memory_bytes, cpus)
        unenforced = [f"isolation: a process can access the files and the network that {getpass.getuser()} can access"]
        if task.memory_bytes and limits.memory is None:
            limit = format_size(task.memory_bytes)
            unenforced.append(f"memory: {limit} is not enforced by the kernel, but checked once a second")
        if limits.cpu is None and cpus < (psutil.cpu_count() or 1):
            unenforced.append(f"cpus: the stage can use more than {cpus:g}")
        work = self._directory.work
        return Spec(
            argv=(*launch.command, *launch.args),
            env={**inherited(), "TMPDIR": str(work / "tmp"), **launch.env},
            secrets={name: str(launch.secrets / name) for name in launch.secrets_in_env},
            cwd=str(work / "cwd"),
            stdout=str(self._home / "stdout"),
            stderr=str(self._home / "stderr"),
            failure=str(self._home / "failure.json"),
            entrances=tuple(str(path) for path in limits.entrances),
            read_only=tuple(str(path) for path in (*launch.inputs.values(), *launch.resources.values())),
            memory_group=limits.memory,
            cpu_group=limits.cpu,
            unenforced=tuple(unenforced),
        )

    def _finish(self) -> None:
        self._exit = self._exit_status()
        self._ended.set()

    def _exit_status(self) -> ExitStatus:
        ended_at = datetime.now(UTC)
        if failure := read_value(self._home / "failure.json", FailureRecord):
            return ExitStatus(
                ended_at=ended_at, failure=f"the program {self._task.command[0]!r} cannot be started: {failure.failure}"
            )
        record = read_value(self._home / "exit.json", ExitRecord)
        if record is None:
            return ExitStatus(ended_at=ended_at, lost="its process supervisor was killed, or the machine was restarted")
        code = os.waitstatus_to_exitcode(record.status)
        group = self._spec.memory_group if self._spec else None
        return ExitStatus(
            ended_at=datetime.fromtimestamp((self._home / "exit.json").stat().st_mtime, UTC),
            exit_code=code if code >= 0 else SHELL_SIGNAL_BASE - code,
            signal=next((name for name, number in SIGNALS.items() if -code == number), None),
            out_of_memory=self._over_memory or (group is not None and cgroups.oom_kills(group) > 0),
            peak_memory_bytes=(cgroups.peak_memory_bytes(group) if group else None) or record.peak_memory_bytes,
        )

    def _supervisor_is_alive(self) -> bool:
        return self._supervisor is not None and self._supervisor.is_alive

    def _processes(self) -> list[int]:
        """All descendants of the process supervisor."""
        return (
            process_supervisor.descendants(self._supervisor.pid)
            if self._supervisor is not None and self._supervisor_is_alive()
            else []
        )

    def _remaining(self) -> Iterator[int]:
        """All processes of the stage: the supervisor's descendants, those in its groups, those with its environment."""
        if self._supervisor is not None and self._supervisor_is_alive():
            yield self._supervisor.pid
        yield from self._processes()
        if self._spec is not None:
            yield from self._spec.limits.pids()
        yield from orphaned_processes(self._task.task_id)


def supervisor_is_alive(directory: TaskDirectory) -> bool:
    """Whether the attempt's process supervisor is running."""
    record = read_value(directory.work / "process" / "process_supervisor.json", SupervisorRecord)
    return record is not None and record.is_alive


def present(directories: dict[str, Path], place: Path) -> None:
    """Link each directory under its name in `place`."""
    place.mkdir(exist_ok=True)
    for name, path in directories.items():
        with contextlib.suppress(FileExistsError):
            (place / name).symlink_to(path)


def inherited() -> dict[str, str]:
    """The variables that the stage inherits; PATH begins with the directory of this Python."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}
    python_directory = str(Path(sys.executable).parent)
    return {**kept, "PATH": os.pathsep.join((python_directory, os.environ.get("PATH", os.defpath)))}


def orphaned_processes(task_id: str) -> Iterator[int]:
    """Processes of this user with the attempt's environment, whoever their parent is now."""
    mark = f"WINSLOW_TASK_ID={task_id}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def used(pids: list[int], kind: str) -> int:
    """The memory of these processes in bytes: `rss`, or the exact but more expensive `pss`."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            info = process.memory_info() if kind == "rss" else process.memory_full_info()
            total += int(getattr(info, kind))
    return total
