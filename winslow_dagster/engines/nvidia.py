"""NVIDIA's GPUs, and the instances that MIG has made of them, from NVIDIA's management library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pynvml  # type: ignore[import-untyped]  # it has no stubs

from winslow_dagster.engines.gpu_report import GpuReport
from winslow_dagster.stages.task.model import NodeGpu

MIG_MINORS = Path("/proc/driver/nvidia-caps/mig-minors")
NO_DRIVER = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "the library of its driver, libnvidia-ml.so.1, is not installed",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "its driver is installed, but not loaded; `dmesg | grep -i nvidia` says why",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "its driver was updated; restart the machine to load the new one",
    pynvml.NVML_ERROR_NO_PERMISSION: "this user may not open /dev/nvidiactl",
}
NO_GPU = {
    pynvml.NVML_ERROR_GPU_IS_LOST: "it has fallen off the bus; restart the machine, and check its power and its slot",
    pynvml.NVML_ERROR_RESET_REQUIRED: "it must be reset: nvidia-smi --gpu-reset",
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: "its power cables are not plugged in",
    pynvml.NVML_ERROR_IRQ_ISSUE: "its interrupts do not arrive; check the BIOS settings of the machine",
    pynvml.NVML_ERROR_NO_PERMISSION: "this user may not use it",
}


def nvidia_gpus(mig_minors: Path = MIG_MINORS) -> GpuReport:
    """All that stages can use. A GPU that fails is left out, and noted."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return GpuReport(notes=(f"no NVIDIA GPU: {NO_DRIVER.get(error.value, error)}",))
    found: list[NodeGpu] = []
    notes: list[str] = []
    try:
        driver = _driver()
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                gpus = tuple(_gpus_of(index, driver, mig_minors))
            except pynvml.NVMLError as error:
                notes.append(f"the NVIDIA GPU {index} cannot be used: {NO_GPU.get(error.value, error)}")
                continue
            found += gpus
            if not gpus:
                notes.append(
                    f"the NVIDIA GPU {index} cannot be used: MIG is on, but it has no instances; "
                    "create some, or turn MIG off: nvidia-smi --multi-instance-gpu=0"
                )
    except pynvml.NVMLError as error:
        notes.append(f"the NVIDIA GPUs cannot be used: {NO_GPU.get(error.value, error)}")
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return GpuReport(tuple(found), tuple(notes))


def usable_devices() -> dict[str, Any]:
    """The handles of the library, which must be open, by the id of the GPU or instance. Without those that fail."""
    found: dict[str, Any] = {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        with suppress(pynvml.NVMLError):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            found |= {pynvml.nvmlDeviceGetUUID(one): one for one in _instances(device) or [device]}
    return found


def _gpus_of(index: int, driver: str, mig_minors: Path) -> Iterator[NodeGpu]:
    """The GPU with this number; in its place its instances, where MIG is on."""
    device = pynvml.nvmlDeviceGetHandleByIndex(index)
    minor = pynvml.nvmlDeviceGetMinorNumber(device)
    instances = _instances(device)
    for one in [device] if instances is None else instances:
        yield NodeGpu(
            uuid=pynvml.nvmlDeviceGetUUID(one),
            index=index,
            vendor="nvidia",
            name=pynvml.nvmlDeviceGetName(one),
            memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(one).total,
            driver=driver,
            device_files=(f"/dev/nvidia{minor}", *(() if instances is None else _capabilities(minor, one, mig_minors))),
        )


def _instances(device: Any) -> list[Any] | None:
    """The instances of the GPU; None where MIG is off, or the GPU has none."""
    try:
        if pynvml.nvmlDeviceGetMigMode(device)[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return None
        most = pynvml.nvmlDeviceGetMaxMigDeviceCount(device)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return None
    found = []
    for number in range(most):
        with suppress(pynvml.NVMLError_NotFound):
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, number))
    return found


def _capabilities(minor: int, instance: Any, mig_minors: Path) -> tuple[str, ...]:
    """The device files, beside that of the GPU, that a program opens to use the instance."""
    gpu_instance = pynvml.nvmlDeviceGetGpuInstanceId(instance)
    below = f"gpu{minor}/gi{gpu_instance}"
    names = (f"{below}/access", f"{below}/ci{pynvml.nvmlDeviceGetComputeInstanceId(instance)}/access")
    try:
        numbers = dict(line.split() for line in mig_minors.read_text().splitlines())
    except FileNotFoundError:
        return ()
    return tuple(f"/dev/nvidia-caps/nvidia-cap{numbers[name]}" for name in names if name in numbers)


def _driver() -> str:
    try:
        return f"NVIDIA {pynvml.nvmlSystemGetDriverVersion()}"
    except pynvml.NVMLError:
        return ""
