"""Control groups, version 1 and 2: resource limits and usage of a group of processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max")
PERIOD_US = 100_000
LEAST_QUOTA_US = 1000


def group_of(pid: int | str, controller: str) -> Path | None:
    """The directory of the process's group for `controller`, or None if the system has none."""
    path: str | None = None
    for controllers, path in _memberships(Path(f"/proc/{pid}/cgroup")):
        if controller in controllers:
            return ROOT / controller / path
    for root in (ROOT, ROOT / "unified"):
        if path is not None and controller in (_words(root / "cgroup.controllers") or ()):
            return root / path
    return None


def groups_around(controller: str, own: Path = OWN, root: Path = ROOT) -> list[Path]:
    """The control group of this process and its ancestors, innermost first; of both versions if the machine has both.

    In a container the names may be those of the host, of which only the root is visible: it is then the innermost.
    """
    found: list[Path] = []
    for controllers, path in _memberships(own):
        if controllers and controller not in controllers:
            continue
        base = root / controller if controllers else root
        innermost = base / path
        found += [group for group in (innermost, *innermost.parents) if group.is_relative_to(base) and group.is_dir()]
    return found


def cpu_quota(group: Path) -> float | None:
    """The number of CPUs whose time a control group grants; None if it sets no limit."""
    if (limit := _words(group / "cpu.max")) is not None:
        quota, period = limit
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _words(group / "cpu.cfs_quota_us"), _words(group / "cpu.cfs_period_us")
    if quota_us is None or period_us is None or int(quota_us[0]) <= 0:
        return None
    return int(quota_us[0]) / int(period_us[0])


def memory_limit_bytes(group: Path) -> int | None:
    """The bytes that a control group allows; None if it sets no limit. In version 1, no limit is a huge number."""
    limit = _words(group / "memory.max") or _words(group / "memory.limit_in_bytes")
    return None if limit is None or limit[0] == "max" else int(limit[0])


def peak_memory_bytes(group: Path) -> int | None:
    """The group's peak memory so far, or None if the kernel does not report it."""
    for name in ("memory.max_usage_in_bytes", "memory.peak"):
        with contextlib.suppress(OSError, ValueError):
            return int((group / name).read_text(encoding="ascii"))
    return None


def cpu_time_s(group: Path) -> float | None:
    """The processor time that the group's processes have used, or None if the kernel does not report it."""
    with contextlib.suppress(OSError, ValueError):
        return int((group / "cpuacct.usage").read_text(encoding="ascii")) / 1e9
    with contextlib.suppress(OSError, ValueError):
        counts = dict(line.split() for line in (group / "cpu.stat").read_text(encoding="ascii").splitlines())
        return int(counts["usage_usec"]) / 1e6 if "usage_usec" in counts else None
    return None


def memory_bytes(group: Path) -> int | None:
    """The memory that the group uses, without files that the kernel keeps as long as there is room."""
    for used, inactive in (("memory.usage_in_bytes", "total_inactive_file"), ("memory.current", "inactive_file")):
        with contextlib.suppress(OSError, ValueError):
            in_use = int((group / used).read_text(encoding="ascii"))
            counts = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
            return max(0, in_use - int(counts.get(inactive, 0)))
    return None


def oom_kills(group: Path) -> int:
    """The number of the group's processes that the kernel's OOM killer ended."""
    for name in ("memory.oom_control", "memory.events"):
        with contextlib.suppress(OSError):
            counts = dict(line.split() for line in (group / name).read_text(encoding="ascii").splitlines())
            return int(counts.get("oom_kill", 0))
    return 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The groups created for one attempt that runs as a process."""

    memory: Path | None
    cpu: Path | None

    @property
    def groups(self) -> tuple[Path, ...]:
        """The distinct directories; version 2 has one for both limits."""
        return tuple(dict.fromkeys(group for group in (self.memory, self.cpu) if group is not None))

    @property
    def entrances(self) -> tuple[Path, ...]:
        """The files to which a process writes 0 to join the groups."""
        return tuple(group / "cgroup.procs" for group in self.groups)

    def pids(self) -> Iterator[int]:
        """All processes in the groups."""
        for entrance in self.entrances:
            with contextlib.suppress(OSError):
                yield from (int(line) for line in entrance.read_text(encoding="ascii").split())

    def remove(self) -> None:
        """Remove the groups. Raises OSError while a process is in one."""
        for group in self.groups:
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()


def limited(name: str, memory_bytes: int | None, cpus: float | None) -> Limits:
    """Create groups named `name` with these limits, as far as this user is permitted."""
    return Limits(
        memory=limit_memory(name, memory_bytes) if memory_bytes else None,
        cpu=limit_cpu(name, cpus) if cpus else None,
    )


def limit_memory(name: str, memory_bytes: int) -> Path | None:
    """Create a group limited to `memory_bytes` without swap; None if not permitted."""
    version_1 = {
        "memory.limit_in_bytes": memory_bytes,
        # Absent if the kernel does not account swap; then there is no swap, or no way to forbid it.
        "memory.memsw.limit_in_bytes": memory_bytes,
    }
    return create_group(name, "memory", version_1, {"memory.max": memory_bytes, "memory.swap.max": 0})


def limit_cpu(name: str, cpus: float) -> Path | None:
    """Create a group limited to the time of `cpus` processors; None if not permitted."""
    quota_us = max(int(cpus * PERIOD_US), LEAST_QUOTA_US)
    version_1 = {"cpu.cfs_period_us": PERIOD_US, "cpu.cfs_quota_us": quota_us}
    return create_group(name, "cpu", version_1, {"cpu.max": f"{quota_us} {PERIOD_US}"})


def create_group(name: str, controller: str, version_1: dict[str, int], version_2: dict[str, int | str]) -> Path | None:
    """Create a group with these values; None if not permitted.

    In version 1 it is a child of this process's group. In version 2 a group with processes cannot delegate controllers,
    so it is a sibling, or a child of the root.
    """
    own = group_of("self", controller)
    if own is None:
        return None
    unified = (own / "cgroup.controllers").is_file()
    parent = own.parent if unified and own not in {ROOT, ROOT / "unified"} else own
    group = parent / f"winslow-{name}"
    try:
        if unified:
            enable(parent, controller)
        group.mkdir(exist_ok=True)
        for file, value in (version_2 if unified else version_1).items():
            if file not in OPTIONAL or (group / file).exists():
                (group / file).write_text(str(value), encoding="ascii")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return None
    return group


def enable(parent: Path, controller: str) -> None:
    """Enable the controller for children of `parent`. Raises OSError if not permitted."""
    switch = parent / "cgroup.subtree_control"
    if controller not in switch.read_text(encoding="ascii").split():
        switch.write_text(f"+{controller}", encoding="ascii")


class ContainerUsage:
    """Samples what a container's groups use, because they disappear with the container."""

    def __init__(self) -> None:
        self._group: Path | None = None
        self._cpu: Path | None = None
        self.peak_bytes: int | None = None

    @property
    def unknown(self) -> bool:
        """Whether `watch` has not been called yet."""
        return self._group is None

    def watch(self, pid: int) -> None:
        """Sample the group of this process from now on."""
        self._group = group_of(pid, "memory") or Path(os.devnull)
        self._cpu = group_of(pid, "cpuacct") or group_of(pid, "cpu")

    def look(self) -> None:
        """Record the peak so far."""
        if self._group is not None:
            self.peak_bytes = peak_memory_bytes(self._group) or self.peak_bytes

    def cpu_time_s(self) -> float | None:
        """The processor time used so far."""
        return None if self._cpu is None else cpu_time_s(self._cpu)

    def now_bytes(self) -> int | None:
        """The memory in use now."""
        return None if self._group is None else memory_bytes(self._group)


def _memberships(file: Path) -> Iterator[tuple[list[str], str]]:
    """The groups in a process's `cgroup` file: the controllers, none in version 2, and the path below their root."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in file.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            yield controllers.split(",") if controllers else [], path.lstrip("/")


def _words(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="ascii").split() or None
    except FileNotFoundError:
        return None
