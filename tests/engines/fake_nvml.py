"""A library of NVIDIA's as pynvml loads it, with the GPUs of a test: C functions that fail as the real ones do."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import CFUNCTYPE, c_char, c_int, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pynvml  # type: ignore[import-untyped]  # it has no stubs
import pytest

GIB = 1 << 30
NOT_AVAILABLE = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value


@dataclass
class Device:
    """A GPU, or an instance of one. `fails` is the error of every call about it.

    `computing` and `drawing` are its processes with the memory that each uses, None where the driver does not say it;
    an error in their place.
    """

    uuid: str
    name: str = "NVIDIA H200"
    memory_bytes: int = 139 * GIB
    minor: int = 0
    fails: int = 0
    mig: bool | None = False
    """None: the GPU knows no MIG."""
    instances: list[Device | None] = field(default_factory=list)
    gpu_instance: int = 0
    compute_instance: int = 0
    computing: dict[int, int | None] | int = field(default_factory=dict)
    drawing: dict[int, int | None] | int = field(default_factory=dict)


@dataclass
class FakeNvml:
    """`init_fails` is the error of the first call; a driver with `hangs` answers none until that is set."""

    devices: list[Device] = field(default_factory=list)
    init_fails: int = 0
    count_fails: int = 0
    hangs: Event | None = None
    driver: bytes = b"570.86.15"

    def __getattr__(self, name: str) -> Any:
        """The C function of that name. ctypes raises AttributeError, too, for one that a library lacks."""
        try:
            write, kinds = FUNCTIONS[name]
        except KeyError:
            raise AttributeError(name) from None
        function = CFUNCTYPE(c_int, *kinds)(lambda *arguments: write(self, *arguments))
        self.__dict__[name] = function  # Kept as long as this library: C has only its address.
        return function

    def everything(self) -> list[Device]:
        return [*self.devices, *(one for device in self.devices for one in device.instances if one is not None)]


def load(monkeypatch: pytest.MonkeyPatch, library: FakeNvml | None) -> None:
    """Let pynvml find this library, or none."""

    def cdll(name: str) -> FakeNvml:
        assert name == "libnvidia-ml.so.1"
        if library is None:
            raise OSError(name)
        return library

    monkeypatch.setattr(pynvml, "CDLL", cdll)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


def _init(library: FakeNvml, _flags: int) -> int:
    if library.hangs is not None:
        library.hangs.wait()
    return library.init_fails


def _shutdown(_library: FakeNvml) -> int:
    return int(pynvml.NVML_SUCCESS)


def _driver_version(library: FakeNvml, text: int, length: int) -> int:
    return _text(text, length, library.driver)


def _count(library: FakeNvml, count: int) -> int:
    c_uint.from_address(count).value = len(library.devices)
    return library.count_fails


def _handle(library: FakeNvml, index: int, handle: int) -> int:
    c_void_p.from_address(handle).value = _address(library, library.devices[index])
    return library.devices[index].fails


def _address(library: FakeNvml, device: Device) -> int:
    """What C knows the device by."""
    return 1 + next(place for place, one in enumerate(library.everything()) if one is device)


def _about(answer: Callable[..., int]) -> Callable[..., int]:
    """A function whose first argument is the handle of a device."""

    def function(library: FakeNvml, handle: int, *arguments: int) -> int:
        device = library.everything()[handle - 1]
        return device.fails or answer(library, device, *arguments)

    return function


def _uuid(_library: FakeNvml, device: Device, text: int, length: int) -> int:
    return _text(text, length, device.uuid.encode())


def _name(_library: FakeNvml, device: Device, text: int, length: int) -> int:
    return _text(text, length, device.name.encode())


def _memory(_library: FakeNvml, device: Device, memory: int) -> int:
    (c_ulonglong * 3).from_address(memory)[:] = [device.memory_bytes, device.memory_bytes - GIB, GIB]
    return int(pynvml.NVML_SUCCESS)


def _minor(_library: FakeNvml, device: Device, minor: int) -> int:
    c_uint.from_address(minor).value = device.minor
    return int(pynvml.NVML_SUCCESS)


def _mig_mode(_library: FakeNvml, device: Device, current: int, pending: int) -> int:
    if device.mig is None:
        return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
    c_uint.from_address(current).value = c_uint.from_address(pending).value = device.mig
    return int(pynvml.NVML_SUCCESS)


def _most_instances(_library: FakeNvml, device: Device, count: int) -> int:
    c_uint.from_address(count).value = len(device.instances)
    return int(pynvml.NVML_SUCCESS)


def _instance(library: FakeNvml, device: Device, index: int, handle: int) -> int:
    instance = device.instances[index]
    if instance is None:
        return int(pynvml.NVML_ERROR_NOT_FOUND)
    c_void_p.from_address(handle).value = _address(library, instance)
    return int(pynvml.NVML_SUCCESS)


def _utilization(_library: FakeNvml, _device: Device, rates: int) -> int:
    (c_uint * 2).from_address(rates)[:] = [80, 30]
    return int(pynvml.NVML_SUCCESS)


def _temperature(_library: FakeNvml, _device: Device, sensor: int, degrees: int) -> int:
    assert sensor == pynvml.NVML_TEMPERATURE_GPU
    c_uint.from_address(degrees).value = 70
    return int(pynvml.NVML_SUCCESS)


def _processes(running: dict[int, int | None] | int, count: int, infos: int | None) -> int:
    """As the real one, it says how many there are if there is no room for them."""
    if isinstance(running, int):
        return running
    room = c_uint.from_address(count).value
    c_uint.from_address(count).value = len(running)
    if room < len(running) or infos is None:
        return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE if running else pynvml.NVML_SUCCESS)
    for info, (pid, memory_bytes) in zip(
        (pynvml.c_nvmlProcessInfo_v3_t * len(running)).from_address(infos), running.items(), strict=True
    ):
        info.pid = pid
        info.usedGpuMemory = NOT_AVAILABLE if memory_bytes is None else memory_bytes
    return int(pynvml.NVML_SUCCESS)


def _computing(_library: FakeNvml, device: Device, count: int, infos: int | None) -> int:
    return _processes(device.computing, count, infos)


def _drawing(_library: FakeNvml, device: Device, count: int, infos: int | None) -> int:
    return _processes(device.drawing, count, infos)


def _gpu_instance(_library: FakeNvml, device: Device, number: int) -> int:
    c_uint.from_address(number).value = device.gpu_instance
    return int(pynvml.NVML_SUCCESS)


def _compute_instance(_library: FakeNvml, device: Device, number: int) -> int:
    c_uint.from_address(number).value = device.compute_instance
    return int(pynvml.NVML_SUCCESS)


def _text(address: int, length: int, content: bytes) -> int:
    assert len(content) < length
    (c_char * length).from_address(address).value = content
    return int(pynvml.NVML_SUCCESS)


FUNCTIONS: dict[str, tuple[Callable[..., int], tuple[Any, ...]]] = {
    "nvmlInitWithFlags": (_init, (c_uint,)),
    "nvmlShutdown": (_shutdown, ()),
    "nvmlSystemGetDriverVersion": (_driver_version, (c_void_p, c_uint)),
    "nvmlDeviceGetCount_v2": (_count, (c_void_p,)),
    "nvmlDeviceGetHandleByIndex_v2": (_handle, (c_uint, c_void_p)),
    "nvmlDeviceGetUUID": (_about(_uuid), (c_void_p, c_void_p, c_uint)),
    "nvmlDeviceGetName": (_about(_name), (c_void_p, c_void_p, c_uint)),
    "nvmlDeviceGetMemoryInfo": (_about(_memory), (c_void_p, c_void_p)),
    "nvmlDeviceGetUtilizationRates": (_about(_utilization), (c_void_p, c_void_p)),
    "nvmlDeviceGetTemperature": (_about(_temperature), (c_void_p, c_uint, c_void_p)),
    "nvmlDeviceGetComputeRunningProcesses_v3": (_about(_computing), (c_void_p, c_void_p, c_void_p)),
    "nvmlDeviceGetGraphicsRunningProcesses_v3": (_about(_drawing), (c_void_p, c_void_p, c_void_p)),
    "nvmlDeviceGetMinorNumber": (_about(_minor), (c_void_p, c_void_p)),
    "nvmlDeviceGetMigMode": (_about(_mig_mode), (c_void_p, c_void_p, c_void_p)),
    "nvmlDeviceGetMaxMigDeviceCount": (_about(_most_instances), (c_void_p, c_void_p)),
    "nvmlDeviceGetMigDeviceHandleByIndex": (_about(_instance), (c_void_p, c_uint, c_void_p)),
    "nvmlDeviceGetGpuInstanceId": (_about(_gpu_instance), (c_void_p, c_void_p)),
    "nvmlDeviceGetComputeInstanceId": (_about(_compute_instance), (c_void_p, c_void_p)),
}
