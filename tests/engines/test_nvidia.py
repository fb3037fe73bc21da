"""Each way in which an NVIDIA driver or GPU fails is reported, and none keeps the other GPUs from working."""

from __future__ import annotations

import math
import os
from pathlib import Path
from threading import Event
from typing import Any

import fake_nvml
import pynvml  # type: ignore[import-untyped]  # it has no stubs
import pytest
from fake_nvml import GIB, Device, FakeNvml, load

from winslow_dagster.engines import hardware
from winslow_dagster.engines.gpu_processes import GpuUser
from winslow_dagster.engines.gpu_readings import GpuReading, NvidiaSource
from winslow_dagster.engines.gpu_report import GpuReport
from winslow_dagster.engines.nvidia import nvidia_gpus

H200 = Device("GPU-0")


def test_a_gpu_has_its_id_its_memory_its_driver_and_its_device_file(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, FakeNvml([H200, Device("GPU-1", "NVIDIA T4", 16 * GIB, minor=3, mig=None)]))

    report = nvidia_gpus()

    assert [gpu.model_dump() for gpu in report.gpus] == [
        {
            "uuid": uuid,
            "index": index,
            "vendor": "nvidia",
            "name": name,
            "memory_bytes": memory_bytes,
            "driver": "NVIDIA 570.86.15",
            "device_files": (file,),
        }
        for index, (uuid, name, memory_bytes, file) in enumerate(
            [("GPU-0", "NVIDIA H200", 139 * GIB, "/dev/nvidia0"), ("GPU-1", "NVIDIA T4", 16 * GIB, "/dev/nvidia3")]
        )
    ]
    assert report.notes == ()


@pytest.mark.parametrize(
    ("library", "note"),
    [
        (None, "no NVIDIA GPU: the library of its driver, libnvidia-ml.so.1, is not installed"),
        (
            FakeNvml(init_fails=pynvml.NVML_ERROR_DRIVER_NOT_LOADED),
            "no NVIDIA GPU: its driver is installed, but not loaded; `dmesg | grep -i nvidia` says why",
        ),
        (
            FakeNvml(init_fails=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH),
            "no NVIDIA GPU: its driver was updated; restart the machine to load the new one",
        ),
        (
            FakeNvml([H200], count_fails=pynvml.NVML_ERROR_UNKNOWN),
            "the NVIDIA GPUs cannot be used: Unknown Error",
        ),
    ],
)
def test_why_there_is_no_gpu_is_said(monkeypatch: pytest.MonkeyPatch, library: FakeNvml | None, note: str) -> None:
    load(monkeypatch, library)

    assert nvidia_gpus() == GpuReport(notes=(note,))


def test_a_driver_without_any_gpu_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, FakeNvml())

    assert nvidia_gpus() == GpuReport()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            pynvml.NVML_ERROR_GPU_IS_LOST,
            "it has fallen off the bus; restart the machine, and check its power and its slot",
        ),
        (pynvml.NVML_ERROR_RESET_REQUIRED, "it must be reset: nvidia-smi --gpu-reset"),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error"),
    ],
)
def test_a_gpu_that_fails_is_left_out_and_the_others_are_used(
    monkeypatch: pytest.MonkeyPatch, error: int, reason: str
) -> None:
    load(monkeypatch, FakeNvml([Device("GPU-0", fails=error), Device("GPU-1")]))

    report = nvidia_gpus()

    assert [(gpu.index, gpu.uuid) for gpu in report.gpus] == [(1, "GPU-1")]
    assert report.notes == (f"the NVIDIA GPU 0 cannot be used: {reason}",)


def test_a_driver_that_hangs_is_waited_for_no_longer_than_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    goes_on = Event()
    monkeypatch.setattr(hardware, "DRM", tmp_path)
    load(monkeypatch, FakeNvml([H200], hangs=goes_on))
    try:
        report = hardware.detect_gpus(timeout_s=0.05)
    finally:
        goes_on.set()

    assert report.gpus == ()
    assert "the NVIDIA driver has not answered within 0.05 s: its GPUs cannot be used" in report.notes


def test_the_instances_of_a_gpu_stand_in_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    minors = tmp_path / "mig-minors"
    minors.write_text("config 1\ngpu2/gi9/access 21\ngpu2/gi9/ci0/access 22\ngpu2/gi11/access 30\n")
    first = Device("MIG-a", "NVIDIA H200 MIG 1g.18gb", 18 * GIB, gpu_instance=9)
    second = Device("MIG-b", "NVIDIA H200 MIG 1g.18gb", 18 * GIB, gpu_instance=11)
    load(monkeypatch, FakeNvml([Device("GPU-0", mig=True, minor=2, instances=[first, None, second])]))

    gpus = nvidia_gpus(minors).gpus

    assert [(gpu.uuid, gpu.index, gpu.name, gpu.memory_bytes // GIB) for gpu in gpus] == [
        ("MIG-a", 0, "NVIDIA H200 MIG 1g.18gb", 18),
        ("MIG-b", 0, "NVIDIA H200 MIG 1g.18gb", 18),
    ]
    assert [gpu.device_files for gpu in gpus] == [
        ("/dev/nvidia2", "/dev/nvidia-caps/nvidia-cap21", "/dev/nvidia-caps/nvidia-cap22"),
        ("/dev/nvidia2", "/dev/nvidia-caps/nvidia-cap30"),
    ]


def test_a_gpu_whose_instances_have_not_been_made_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, FakeNvml([Device("GPU-0", mig=True, instances=[None])]))

    report = nvidia_gpus()

    assert report.gpus == ()
    (note,) = report.notes
    assert note.startswith("the NVIDIA GPU 0 cannot be used: MIG is on, but it has no instances")


def test_use_is_read_of_the_gpus_that_answer_although_one_has_fallen_off_the_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    falling = Device("GPU-1")
    load(
        monkeypatch,
        FakeNvml([Device("GPU-0", fails=pynvml.NVML_ERROR_GPU_IS_LOST), falling, Device("GPU-2")]),
    )
    source = NvidiaSource()
    whole = GpuReading(used_percent=80.0, memory_used_bytes=float(GIB), temperature_c=70.0, processes=())

    assert source.read() == {"GPU-1": whole, "GPU-2": whole}

    falling.fails = pynvml.NVML_ERROR_GPU_IS_LOST
    after = source.read()
    assert all(map(math.isnan, after["GPU-1"].values()))
    assert after["GPU-2"] == whole


def test_the_processes_of_a_gpu_are_those_that_compute_and_those_that_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, FakeNvml([Device("GPU-0", computing={7: GIB, 8: None}, drawing={9: 5, 7: GIB})]))

    assert NvidiaSource().read()["GPU-0"].processes == (GpuUser(7, GIB), GpuUser(8), GpuUser(9, 5))


def test_an_instance_that_cannot_draw_has_the_processes_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = Device("MIG-0", computing={7: GIB}, drawing=pynvml.NVML_ERROR_NOT_SUPPORTED)
    load(monkeypatch, FakeNvml([Device("GPU-0", mig=True, instances=[instance])]))

    assert NvidiaSource().read()["MIG-0"].processes == (GpuUser(7, GIB),)


@pytest.mark.parametrize(
    "fails",
    [
        {"computing": pynvml.NVML_ERROR_NOT_SUPPORTED},
        {"computing": pynvml.NVML_ERROR_NO_PERMISSION},
        {"computing": pynvml.NVML_ERROR_UNKNOWN},
        {"computing": {7: GIB}, "drawing": pynvml.NVML_ERROR_NO_PERMISSION},
    ],
)
def test_processes_that_a_driver_does_not_tell_are_unknown_and_the_rest_is_read(
    fails: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(monkeypatch, FakeNvml([Device("GPU-0", **fails)]))

    assert NvidiaSource().read() == {"GPU-0": GpuReading(80.0, float(GIB), 70.0)}


def test_a_driver_that_is_too_old_to_tell_processes_is_read_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(fake_nvml.FUNCTIONS, "nvmlDeviceGetComputeRunningProcesses_v3")
    load(monkeypatch, FakeNvml([Device("GPU-0", computing={7: GIB})]))

    assert NvidiaSource().read() == {"GPU-0": GpuReading(80.0, float(GIB), 70.0)}


def test_nothing_is_read_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, None)

    assert NvidiaSource().read() == {}


def test_this_machine_names_its_gpus_or_says_why_it_has_none() -> None:
    report = nvidia_gpus()

    assert report.gpus or report.notes or os.path.exists("/dev/nvidiactl")  # noqa: PTH110  # a driver without a GPU
    assert all(gpu.uuid.startswith(("GPU-", "MIG-")) and gpu.memory_bytes > 0 for gpu in report.gpus)
