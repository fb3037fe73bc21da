"""How busy, full and warm this machine's GPUs are, read in threads of its own: a driver that hangs stops no other."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from winslow_dagster.engines.gpu_processes import KFD, GpuUser, amd_users
from winslow_dagster.engines.hardware import DRM, drm_cards

READ_EVERY_S = 1.0
TRY_AGAIN_S = 60.0
"""How long after a failure a driver is asked again."""
UNKNOWN = math.nan


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU at one moment. What its driver does not say is NaN."""

    used_percent: float = UNKNOWN
    memory_used_bytes: float = UNKNOWN
    temperature_c: float = UNKNOWN
    processes: tuple[GpuUser, ...] | None = None
    """None: the driver does not say them."""

    def values(self) -> tuple[float, float, float]:
        """In the order of `GPU_FIELDS`."""
        return self.used_percent, self.memory_used_bytes, self.temperature_c


GPU_FIELDS = ("used_percent", "memory_used_bytes", "temperature_c")
Readings = Mapping[str, GpuReading]
"""By the id of the GPU."""


class GpuSource(Protocol):
    """The GPUs of one kind of driver."""

    def read(self) -> Readings:
        """All of them now. Raises any error of the driver's library."""


class NvidiaSource:
    """NVIDIA's, through its management library, which stays open."""

    def __init__(self) -> None:
        self._devices: dict[str, Any] = {}
        self._asked_at_s = -TRY_AGAIN_S

    def read(self) -> Readings:
        """All of them; none without the driver. One that does not answer, such as after it fell off the bus, is NaN."""
        import pynvml  # type: ignore[import-untyped]  # it has no stubs

        from winslow_dagster.engines.nvidia import usable_devices

        if not self._devices and time.monotonic() - self._asked_at_s >= TRY_AGAIN_S:
            self._asked_at_s = time.monotonic()
            with suppress(pynvml.NVMLError):
                pynvml.nvmlInit()
                self._devices = usable_devices()
        found = {}
        for uuid, handle in self._devices.items():
            values = [UNKNOWN, UNKNOWN, UNKNOWN]
            for place, read in enumerate((_used, _memory, _temperature)):
                with suppress(pynvml.NVMLError):
                    values[place] = read(pynvml, handle)
            used, memory, temperature = values
            found[uuid] = GpuReading(used, memory, temperature, _processes(pynvml, handle))
        if found and all(map(math.isnan, (each for reading in found.values() for each in reading.values()))):
            self._devices = {}  # The driver was unloaded or replaced: begin again later.
        return found


class DrmSource:
    """AMD's, from sysfs. Intel's driver does not say it there."""

    def __init__(self, directory: Path = DRM, kfd: Path = KFD) -> None:
        self._directory = directory
        self._kfd = kfd
        self._cards: dict[str, Path] | None = None

    def read(self) -> Readings:
        """All of them."""
        if self._cards is None:
            self._cards = drm_cards(self._directory)
        users = amd_users(self._kfd) or {} if self._cards else {}
        return {
            uuid: _of_card(card / "device", users.get(uuid.removeprefix("amd-"))) for uuid, card in self._cards.items()
        }


class GpuReader:
    """Reads each source once a second in a thread of its own. `latest` never waits."""

    def __init__(self, sources: tuple[GpuSource, ...] | None = None) -> None:
        self._sources = (NvidiaSource(), DrmSource()) if sources is None else sources
        self._latest: dict[int, tuple[float, Readings]] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Start the threads. They end with the process, whatever a driver does."""
        for place, source in enumerate(self._sources):
            threading.Thread(target=self._follow, args=(place, source), name=f"gpus-{place}", daemon=True).start()

    def stop(self) -> None:
        """Have the threads end; one that a driver holds ends when that answers."""
        self._stop.set()

    def latest(self, max_age_s: float = 5 * READ_EVERY_S) -> Readings:
        """The last readings, without those of a driver that has not answered for this long."""
        found: dict[str, GpuReading] = {}
        for read_at_s, readings in list(self._latest.values()):
            if time.monotonic() - read_at_s <= max_age_s:
                found |= readings
        return found

    def _follow(self, place: int, source: GpuSource) -> None:
        while True:
            readings = source.read()
            self._latest[place] = time.monotonic(), readings
            # A machine without such GPUs may get some: a driver can be loaded at any time.
            if self._stop.wait(READ_EVERY_S if readings else TRY_AGAIN_S):
                return


def _used(nvml: Any, handle: Any) -> float:
    return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)


def _memory(nvml: Any, handle: Any) -> float:
    return float(nvml.nvmlDeviceGetMemoryInfo(handle).used)


def _temperature(nvml: Any, handle: Any) -> float:
    return float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))


def _processes(nvml: Any, handle: Any) -> tuple[GpuUser, ...] | None:
    """Those that compute and those that draw; many do both. None if the driver, or a permission, does not tell."""
    try:
        # Drivers before 510 lack them. Of the functions without a version, pynvml raises another kind of error then.
        running = nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
        with suppress(nvml.NVMLError_NotSupported):  # Such as of an instance, which cannot draw.
            running = [*running, *nvml.nvmlDeviceGetGraphicsRunningProcesses_v3(handle)]
    except nvml.NVMLError:
        return None
    return tuple({each.pid: GpuUser(each.pid, each.usedGpuMemory) for each in running}.values())


def _of_card(device: Path, processes: tuple[GpuUser, ...] | None) -> GpuReading:
    millidegrees = next((_number(file) for file in sorted(device.glob("hwmon/hwmon*/temp1_input"))), UNKNOWN)
    return GpuReading(
        _number(device / "gpu_busy_percent"), _number(device / "mem_info_vram_used"), millidegrees / 1000, processes
    )


def _number(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return UNKNOWN
