"""The hardware of this machine: its name, GPUs, and the CPUs and memory that this process may use."""

from __future__ import annotations

import os
import platform
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from winslow_dagster.engines.gpu_report import GpuReport
from winslow_dagster.stages.launchers.process import cgroups
from winslow_dagster.stages.task.model import NodeGpu

DRM = Path("/sys/class/drm")
VENDORS = {"0x1002": "amd", "0x8086": "intel"}
VRAM_FILES = ("device/mem_info_vram_total", "lmem_total_bytes")
MIN_VRAM_BYTES = 1 << 30
DRIVER_TIMEOUT_S = 15.0


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
    from winslow_dagster.engines.nvidia import nvidia_gpus

    nvidia, drm = answered(nvidia_gpus, "the NVIDIA driver", timeout_s), answered(drm_gpus, "a GPU driver", timeout_s)
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
        address = (card / "device").resolve().name
        try:
            gpu = _gpu(card, vendor, index, address)
        except (OSError, ValueError) as error:  # Its driver cannot reach it, such as after it fell off the bus.
            notes.append(f"the {vendor} GPU at {address} cannot be used: its driver cannot read it: {error}")
            continue
        if gpu.memory_bytes < MIN_VRAM_BYTES:
            notes.append(f"the {vendor} graphics at {address} are not used: they have no memory of their own")
            continue
        found.append((gpu, card))
    return found, notes


def _gpu(card: Path, vendor: str, index: int, address: str) -> NodeGpu:
    """What sysfs says about one card. Raises OSError, ValueError."""
    return NodeGpu(
        uuid=f"{vendor}-{address}",
        index=index,
        vendor=vendor,
        name=_text(card / "device/product_name") or f"{vendor} {_text(card / 'device/device')}",
        memory_bytes=max(int(_text(card / name) or 0) for name in VRAM_FILES),
        driver=_driver(card),
        device_files=tuple(f"/dev/dri/{node.name}" for node in sorted((card / "device/drm").glob("renderD*"))),
    )


def _driver(card: Path) -> str:
    """The kernel module that serves the card, with its version if it says one."""
    driver = card / "device/driver"
    name = driver.resolve().name if driver.exists() else ""
    return f"{name} {_text(driver / 'module/version')}".strip()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
