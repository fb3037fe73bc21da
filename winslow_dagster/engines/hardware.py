"""The hardware of this machine: its name, GPUs, and the CPUs and memory that this process may use."""

from __future__ import annotations

import os
import platform
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from winslow_dagster.engines.engine import NodeGpu
from winslow_dagster.stages.launchers.process import cgroups

DRM = Path("/sys/class/drm")
VENDORS = {"0x1002": "amd", "0x8086": "intel"}
VRAM_FILES = ("device/mem_info_vram_total", "lmem_total_bytes")
MIN_VRAM_BYTES = 1 << 30
DRIVER_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The GPUs that were found, and why others were not or cannot be used."""

    gpus: tuple[NodeGpu, ...] = ()
    notes: tuple[str, ...] = ()


def node_name() -> str:
    """The name of this machine."""
    return platform.node()


def usable_cpus() -> int:
    """The CPUs that this process may use: those of its affinity mask, fewer if a control group limits their time."""
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for group in cgroups.groups_around("cpu") if (quota := cgroups.cpu_quota(group)) is not None]
    return max(1, min([allowed, *(int(quota) for quota in quotas)]))


def usable_memory_bytes() -> int:
    """The memory that this process may use: all of it, less if a control group limits it."""
    groups = cgroups.groups_around("memory")
    limits = [limit for group in groups if (limit := cgroups.memory_limit_bytes(group)) is not None]
    return min([psutil.virtual_memory().total, *limits])


def detect_gpus(timeout_s: float = DRIVER_TIMEOUT_S) -> GpuReport:
    """All GPUs that stages can use. A driver that does not answer within `timeout_s` has none."""
    nvidia, drm = answered(nvidia_gpus, "the NVIDIA driver", timeout_s), drm_gpus()
    return GpuReport(nvidia.gpus + drm.gpus, nvidia.notes + drm.notes)


def answered(detect: Callable[[], GpuReport], driver: str, timeout_s: float) -> GpuReport:
    """What `detect` finds. It runs in a thread of its own, which ends with the process: some drivers hang for ever."""
    found: list[GpuReport] = []
    thread = threading.Thread(target=lambda: found.append(detect()), name="detect-gpus", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if found:
        return found[0]
    return GpuReport(notes=(f"{driver} has not answered within {timeout_s:g} s: its GPUs cannot be used",))


def nvidia_gpus() -> GpuReport:
    """NVIDIA's, from its management library."""
    import pynvml  # type: ignore[import-untyped]  # it has no stubs

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return GpuReport(notes=(f"no NVIDIA GPU: {error}",))
    try:
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            found.append(
                NodeGpu(
                    uuid=pynvml.nvmlDeviceGetUUID(device),
                    index=index,
                    vendor="nvidia",
                    name=pynvml.nvmlDeviceGetName(device),
                    memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(device).total,
                )
            )
        return GpuReport(tuple(found))
    except pynvml.NVMLError as error:
        return GpuReport(notes=(f"the NVIDIA GPUs cannot be used: {error}",))
    finally:
        pynvml.nvmlShutdown()


def drm_gpus(directory: Path = DRM) -> GpuReport:
    """AMD's and Intel's, from sysfs. Integrated graphics without memory of their own do not count."""
    found, notes = _drm(directory)
    return GpuReport(tuple(gpu for gpu, _ in found), tuple(notes))


def drm_cards(directory: Path = DRM) -> dict[str, Path]:
    """The directories of these GPUs in sysfs, by their ids."""
    return {gpu.uuid: card for gpu, card in _drm(directory)[0]}


def _drm(directory: Path) -> tuple[list[tuple[NodeGpu, Path]], list[str]]:
    found: list[tuple[NodeGpu, Path]] = []
    notes: list[str] = []
    seen: Counter[str] = Counter()
    cards = (card for card in directory.glob("card*") if card.name.removeprefix("card").isdigit())
    for card in sorted(cards, key=lambda card: int(card.name.removeprefix("card"))):
        vendor = VENDORS.get(_text(card / "device/vendor"))
        if vendor is None:
            continue
        # The index counts as the vendor's own tools do: all of its cards, those without memory, too.
        index = seen[vendor]
        seen[vendor] += 1
        memory_bytes = max(int(_text(card / name) or 0) for name in VRAM_FILES)
        address = (card / "device").resolve().name
        if memory_bytes < MIN_VRAM_BYTES:
            notes.append(f"the {vendor} graphics at {address} are not used: they have no memory of their own")
            continue
        name = _text(card / "device/product_name") or f"{vendor} {_text(card / 'device/device')}"
        gpu = NodeGpu(uuid=f"{vendor}-{address}", index=index, vendor=vendor, name=name, memory_bytes=memory_bytes)
        found.append((gpu, card))
    return found, notes


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
