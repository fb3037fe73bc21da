"""The processes that use GPUs, and the attempts of stages to which they belong."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from winslow_dagster.engines.node_usage import GpuProcess
from winslow_dagster.errors import EngineError
from winslow_dagster.stages.launchers.docker.facts import ContainerRecord
from winslow_dagster.stages.launchers.process.processes import SupervisorRecord
from winslow_dagster.stages.process_supervisor import create_time_s, parent_of
from winslow_dagster.stages.task.directory import TaskDirectory, read_value, write_quickly
from winslow_dagster.stages.task.model import StageTask

KFD = Path("/sys/class/kfd/kfd")
CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
MOST_PROCESSES = 12
"""Of each GPU, those with the most memory are known: an agent's reading has to fit into a pipe as a whole."""
STORED = TypeAdapter(tuple[GpuProcess, ...])


@dataclass(frozen=True, slots=True)
class GpuUser:
    """A process on a GPU, as the driver says it. `memory_bytes` is None where it does not say that."""

    pid: int
    memory_bytes: int | None = None


class ProcessOwners:
    """Says what processes are, and to which attempts in `tasks_dir` they belong. Looks once at each process."""

    def __init__(self, tasks_dir: Path) -> None:
        self._tasks_dir = tasks_dir
        self._known: dict[tuple[int, float], GpuProcess] = {}
        """By pid and the time of its start."""

    def described(self, users: Sequence[GpuUser]) -> tuple[GpuProcess, ...]:
        """Those that still run, by their memory, the largest first."""
        largest = sorted(users, key=lambda user: -(user.memory_bytes or 0))[:MOST_PROCESSES]
        return tuple(
            found.model_copy(update={"memory_bytes": user.memory_bytes})
            for user in largest
            if (found := self._process(user.pid)) is not None
        )

    def _process(self, pid: int) -> GpuProcess | None:
        started_s = create_time_s(pid)
        if started_s is None:
            return None
        found = self._known.get((pid, started_s))
        if found is None:
            self._known = {key: each for key, each in self._known.items() if create_time_s(key[0]) == key[1]}
            found = self._known[pid, started_s] = self._look(pid)
        return found

    def _look(self, pid: int) -> GpuProcess:
        found, task = GpuProcess(pid=pid, program=program_of(pid)), self._task_of(pid)
        if task is None:
            return found
        return found.model_copy(update={"project": task.project, "stage": task.stage, "attempt": task.attempt})

    def _task_of(self, pid: int) -> StageTask | None:
        """The task in whose container, or below whose process supervisor, the process is."""
        containers, ancestors = containers_of(pid), set(ancestors_of(pid))
        for work in self._tasks_dir.glob("*/work"):
            # A directory that cannot be read, such as of another version, hides its own processes only.
            with suppress(EngineError, OSError):
                container = read_value(work / "container.json", ContainerRecord)
                supervisor = read_value(work / "process" / "process_supervisor.json", SupervisorRecord)
                if (container and container.container_id in containers) or (
                    supervisor and supervisor.pid in ancestors and supervisor.is_alive
                ):
                    return TaskDirectory(work.parent).task()
        return None


def program_of(pid: int) -> str:
    """The name of the process's program; empty if it cannot be read."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return "".join(each if each.isprintable() else "?" for each in name)


def containers_of(pid: int) -> set[str]:
    """The ids of the containers in whose control groups the process is."""
    try:
        return set(CONTAINER_ID.findall(Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii", errors="replace")))
    except OSError:
        return set()


def ancestors_of(pid: int) -> Iterator[int]:
    """Its parent, the parent of that, and so on."""
    parent = parent_of(pid)
    while parent:
        yield parent
        parent = parent_of(parent)


def amd_users(kfd: Path = KFD) -> dict[str, tuple[GpuUser, ...]] | None:
    """The processes on AMD's GPUs by the addresses of those on the bus, from sysfs; None if it does not say it."""
    try:
        addresses = dict(_amd_gpus(kfd))
        found: dict[str, list[GpuUser]] = {address: [] for address in addresses.values()}
        for process in (kfd / "proc").iterdir():
            for number, address in addresses.items():
                with suppress(FileNotFoundError):  # It has just ended.
                    if used_bytes := int((process / f"vram_{number}").read_text()):
                        found[address].append(GpuUser(int(process.name), used_bytes))
    except (OSError, ValueError):
        return None
    return {address: tuple(users) for address, users in found.items()}


def _amd_gpus(kfd: Path) -> Iterator[tuple[str, str]]:
    """The number of each GPU in the driver, and its address."""
    for node in (kfd / "topology" / "nodes").iterdir():
        number = (node / "gpu_id").read_text().strip()
        if number == "0":
            continue  # a processor
        lines = (line.split() for line in (node / "properties").read_text().splitlines())
        properties = {line[0]: int(line[1]) for line in lines}
        place = properties["location_id"]
        yield number, f"{properties.get('domain', 0):04x}:{place >> 8 & 255:02x}:{place >> 3 & 31:02x}.{place & 7:x}"


def write_processes(file: Path, processes: Sequence[GpuProcess]) -> None:
    """Store the processes that use a GPU now."""
    write_quickly(file, STORED.dump_json(tuple(processes)).decode())


def processes_now(file: Path, max_age_s: float) -> tuple[GpuProcess, ...] | None:
    """Those that were stored at most `max_age_s` ago; None if nobody has."""
    try:
        if time.time() - file.stat().st_mtime > max_age_s:
            return None
        return STORED.validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
