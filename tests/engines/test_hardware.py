from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from winslow_dagster.engines import hardware
from winslow_dagster.stages.launchers.process import cgroups


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def card(drm: Path, number: int, address: str, **files: str) -> None:
    device = drm.parent / "devices" / address
    for name, text in files.items():
        write(device / name, text)
    (drm / f"card{number}").mkdir(parents=True)
    (drm / f"card{number}" / "device").symlink_to(device)


def test_no_more_processors_are_reported_than_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    assert 1 <= hardware.usable_cpus() <= len(allowed)

    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert hardware.usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_no_more_memory_is_reported_than_the_machine_has() -> None:
    assert 0 < hardware.usable_memory_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("file", "text", "quota"), [("cpu.max", "150000 100000", 1.5), ("cpu.max", "max 100000", None), ("none", "", None)]
)
def test_the_processor_quota_of_version_2_is_read(tmp_path: Path, file: str, text: str, quota: float | None) -> None:
    write(tmp_path / file, text)

    assert cgroups.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("quota_us", "quota"), [("200000", 2.0), ("-1", None)])
def test_the_processor_quota_of_version_1_is_read(tmp_path: Path, quota_us: str, quota: float | None) -> None:
    write(tmp_path / "cpu.cfs_quota_us", quota_us)
    write(tmp_path / "cpu.cfs_period_us", "100000")

    assert cgroups.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("file", "text", "limit"),
    [
        ("memory.max", "1073741824", 1 << 30),
        ("memory.max", "max", None),
        ("memory.limit_in_bytes", "4096", 4096),
        ("none", "", None),
    ],
)
def test_the_memory_limit_of_both_versions_is_read(tmp_path: Path, file: str, text: str, limit: int | None) -> None:
    write(tmp_path / file, text)

    assert cgroups.memory_limit_bytes(tmp_path) == limit


def test_the_own_control_group_and_those_around_it_count(tmp_path: Path) -> None:
    (tmp_path / "memory" / "outer" / "own").mkdir(parents=True)
    (tmp_path / "unified").mkdir()
    write(tmp_path / "self", "4:memory:/outer/own\n3:cpu,cpuacct:/\n0::/gone/in/this/container")

    found = cgroups.groups_around("memory", tmp_path / "self", tmp_path)

    memory = tmp_path / "memory"
    assert found == [memory / "outer/own", memory / "outer", memory, tmp_path]


def test_a_machine_without_control_groups_has_none(tmp_path: Path) -> None:
    assert cgroups.groups_around("cpu", tmp_path / "self", tmp_path) == []


def test_amd_and_intel_gpus_are_found_with_their_memory(tmp_path: Path) -> None:
    drm = tmp_path / "drm"
    card(drm, 0, "0000:00:02.0", vendor="0x8086", device="0x46a6")
    card(drm, 1, "0000:03:00.0", vendor="0x1002", device="0x744c", mem_info_vram_total=str(24 << 30))
    card(drm, 10, "0000:09:00.0", vendor="0x1002", product_name="Instinct", mem_info_vram_total=str(64 << 30))
    card(drm, 2, "0000:05:00.0", vendor="0x10de")
    (drm / "card1-HDMI-A-1").mkdir()
    write(drm / "renderD128" / "device" / "vendor", "0x1002")

    report = hardware.drm_gpus(drm)

    assert [(gpu.uuid, gpu.index, gpu.name, gpu.memory_bytes >> 30) for gpu in report.gpus] == [
        ("amd-0000:03:00.0", 0, "amd 0x744c", 24),
        ("amd-0000:09:00.0", 1, "Instinct", 64),
    ]
    assert report.notes == ("the intel graphics at 0000:00:02.0 are not used: they have no memory of their own",)


def test_a_machine_without_any_has_no_gpu_of_these_kinds(tmp_path: Path) -> None:
    assert hardware.drm_gpus(tmp_path / "drm") == hardware.GpuReport()


def test_an_amd_gpu_that_its_driver_cannot_read_is_reported_and_the_others_are_found(tmp_path: Path) -> None:
    drm = tmp_path / "drm"
    card(drm, 0, "0000:03:00.0", vendor="0x1002", mem_info_vram_total="")
    card(drm, 1, "0000:09:00.0", vendor="0x1002", product_name="Instinct", mem_info_vram_total=str(64 << 30))
    lost = drm.parent / "devices" / "0000:03:00.0" / "mem_info_vram_total"
    lost.unlink()
    lost.mkdir()  # Reading it is an error of the system, as for a device that has gone.

    report = hardware.drm_gpus(drm)

    assert [(gpu.index, gpu.name) for gpu in report.gpus] == [(1, "Instinct")]
    (note,) = report.notes
    assert note.startswith("the amd GPU at 0000:03:00.0 cannot be used: its driver cannot read it: ")


def test_a_gpu_of_amd_has_its_driver_and_its_device_file(tmp_path: Path) -> None:
    drm = tmp_path / "drm"
    card(drm, 0, "0000:03:00.0", vendor="0x1002", device="0x744c", mem_info_vram_total=str(24 << 30))
    device = drm.parent / "devices" / "0000:03:00.0"
    (device / "drm" / "renderD128").mkdir(parents=True)
    write(tmp_path / "drivers" / "amdgpu" / "module" / "version", "6.8.5")
    (device / "driver").symlink_to(tmp_path / "drivers" / "amdgpu")

    (gpu,) = hardware.drm_gpus(drm).gpus

    assert (gpu.driver, gpu.device_files) == ("amdgpu 6.8.5", ("/dev/dri/renderD128",))
