"""What is in use on a machine over time: bounded files, and drivers that do as they like."""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path

import pytest
from gpu_drivers import Busy, Hanging
from patience import until

from winslow_dagster.engines import hardware, usage_history
from winslow_dagster.engines.engine import NodeGpu
from winslow_dagster.engines.gpu_processes import GpuUser
from winslow_dagster.engines.gpu_readings import DrmSource, GpuReader, GpuReading
from winslow_dagster.engines.local import LocalEngine
from winslow_dagster.engines.usage_rings import LEVELS, RingWriter, last_row, path_of, read_rings
from winslow_dagster.engines.usage_sampler import NODE_FIELDS, NODE_SERIES, UsageSampler, usage_dir
from winslow_dagster.settings import NodeSettings, Settings

FIELDS = 2
BEGIN_S = 1_800_000_000
GPUS = tuple(NodeGpu(uuid=f"GPU-{n}", index=n, vendor="nvidia", name="H", memory_bytes=1 << 34) for n in range(4))


@pytest.fixture
def node(tmp_path: Path) -> NodeSettings:
    return NodeSettings(node_dir=tmp_path)


def test_an_hour_is_kept_by_the_second_and_a_day_as_means(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, "node", FIELDS)
    for second in range(2 * 3600):
        writer.write(BEGIN_S + second, (float(second), 1.0))

    hour = read_rings(tmp_path, "node", FIELDS, "1h", (BEGIN_S, BEGIN_S + 7200))
    assert list(hour) == [BEGIN_S + second for second in range(3600, 7200)]
    assert hour[BEGIN_S + 4000] == (4000.0, 1.0)
    day = read_rings(tmp_path, "node", FIELDS, "24h", (BEGIN_S, BEGIN_S + 7200))
    assert len(day) == 7200 // 15
    assert day[BEGIN_S] == (7.0, 1.0)
    year = read_rings(tmp_path, "node", FIELDS, "1y", (BEGIN_S, BEGIN_S + 7200))
    assert year[BEGIN_S] == (1799.5, 1.0)


def test_what_is_not_known_is_left_out_of_a_mean(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, "node", FIELDS)
    for second in range(16):
        writer.write(BEGIN_S + second, (math.nan if second % 2 else 4.0, math.nan))

    (first, *_) = read_rings(tmp_path, "node", FIELDS, "24h", (BEGIN_S, BEGIN_S + 60)).values()
    assert first[0] == 4.0
    assert math.isnan(first[1])


def test_a_writer_that_was_killed_leaves_what_it_wrote_and_the_next_one_goes_on(tmp_path: Path) -> None:
    first = RingWriter(tmp_path, "node", FIELDS)
    first.write(BEGIN_S, (1.0, 1.0))  # and it is never closed
    second = RingWriter(tmp_path, "node", FIELDS)
    second.write(BEGIN_S + 60, (2.0, 2.0))

    assert read_rings(tmp_path, "node", FIELDS, "1h", (BEGIN_S, BEGIN_S + 60)) == {
        BEGIN_S: (1.0, 1.0),
        BEGIN_S + 60: (2.0, 2.0),
    }
    assert last_row(tmp_path, "node", FIELDS, BEGIN_S + 62, 5) == (2.0, 2.0)
    assert last_row(tmp_path, "node", FIELDS, BEGIN_S + 70, 5) is None


def test_the_files_of_a_year_with_four_gpus_take_less_than_50_mb(node: NodeSettings) -> None:
    reader = GpuReader((Busy(*(gpu.uuid for gpu in GPUS)),))
    reader.start()
    until("the GPUs are read", lambda: len(reader.latest()) == len(GPUS))
    sampler = UsageSampler(node, reader)
    for level in LEVELS:
        sampler.sample(level.step_s * (level.rows - 1))
    reader.stop()

    directory = usage_dir(node)
    assert path_of(directory, "node", LEVELS[0]).stat().st_size == LEVELS[0].rows * (8 + 4 * len(NODE_FIELDS))
    assert sum(file.stat().st_size for file in directory.iterdir()) <= 50e6


def test_a_driver_that_hangs_stops_neither_the_sampler_nor_other_drivers(node: NodeSettings) -> None:
    hanging = Hanging()
    sampler = UsageSampler(node, GpuReader((hanging, Busy(*(gpu.uuid for gpu in GPUS)))))
    sampler.start()
    try:
        assert hanging.asked.wait(60)
        until("the GPUs are sampled", lambda: len(usage_history.gpus_now(node, GPUS)) == len(GPUS))
    finally:
        sampler.stop()
        hanging.answers.set()
    assert usage_history.gpus_now(node, GPUS)[3].used_percent == 30.0


def test_the_processes_on_a_gpu_are_those_of_the_last_sample(node: NodeSettings) -> None:
    reader = GpuReader((Busy("GPU-0", users=(GpuUser(os.getpid(), 5),)), Busy("GPU-1")))
    sampler = UsageSampler(node, reader)
    sampler.start()
    try:
        until("the GPUs are sampled", lambda: len(usage_history.gpus_now(node, GPUS)) == 2)
        with_processes, without = usage_history.gpus_now(node, GPUS)
    finally:
        sampler.stop()

    assert [(each.pid, each.memory_bytes) for each in with_processes.processes or ()] == [(os.getpid(), 5)]
    assert without.processes is None


def test_the_last_answer_of_a_driver_is_not_shown_for_ever() -> None:
    reader = GpuReader((Busy(*(gpu.uuid for gpu in GPUS)),))
    reader.start()
    until("the GPUs are read", lambda: len(reader.latest()) == len(GPUS))
    reader.stop()

    assert reader.latest(max_age_s=0) == {}


def test_a_machine_without_gpus_is_sampled_all_the_same(tmp_path: Path) -> None:
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path)})
    engine = LocalEngine(settings)
    assert engine.node_usage()[0].disk_read_bytes_per_s is None
    sampler = UsageSampler(settings.node, GpuReader(()))
    sampler.start()
    try:
        until("rates are known", lambda: engine.node_usage()[0].disk_read_bytes_per_s is not None)
    finally:
        sampler.stop()

    (history,) = engine.usage_history("1h")
    assert history.node == hardware.node_name()
    assert history.at
    assert 0 <= (history.series["cpu_percent"][-1] or 0) <= 100
    assert (history.series["memory_used_bytes"][-1] or 0) > 0


def test_only_one_sampler_writes_for_a_machine(node: NodeSettings) -> None:
    first, second = UsageSampler(node, GpuReader(())), UsageSampler(node, GpuReader(()))
    first.start()
    until("the first one samples", lambda: path_of(usage_dir(node), "node", LEVELS[0]).exists())
    second.start()
    second.stop()
    assert second.processor_s == 0
    first.stop()


def test_samples_go_on_after_their_directory_was_removed(node: NodeSettings) -> None:
    sampler, file = UsageSampler(node, GpuReader(())), path_of(usage_dir(node), NODE_SERIES, LEVELS[0])
    sampler.start()
    try:
        until("a sample is written", file.exists)
        shutil.rmtree(usage_dir(node))
        until("another one is", file.exists)
    finally:
        sampler.stop()


def test_a_curve_has_no_more_points_than_asked_for(node: NodeSettings) -> None:
    writer = RingWriter(usage_dir(node), "node", len(NODE_FIELDS))
    now_s = int(time.time())
    for second in range(600):
        writer.write(now_s - 600 + second, (float(second % 2),) * len(NODE_FIELDS))

    found = usage_history.history(node, "here", (), "1h", 60)

    assert found.step_s == 60
    assert 10 <= len(found.at) <= 11
    assert all(0.4 < (value or 0) < 0.6 for value in found.series["cpu_percent"][1:-1])


def test_amd_says_what_is_in_use_in_sysfs(tmp_path: Path) -> None:
    drm, device = tmp_path / "drm", tmp_path / "devices" / "0000:03:00.0"
    for name, text in {
        "vendor": "0x1002",
        "mem_info_vram_total": str(16 << 30),
        "mem_info_vram_used": str(4 << 30),
        "gpu_busy_percent": "37",
        "hwmon/hwmon2/temp1_input": "61000",
    }.items():
        (device / name).parent.mkdir(parents=True, exist_ok=True)
        (device / name).write_text(f"{text}\n")
    (drm / "card0").mkdir(parents=True)
    (drm / "card0" / "device").symlink_to(device)

    assert DrmSource(drm, tmp_path / "kfd").read() == {"amd-0000:03:00.0": GpuReading(37.0, float(4 << 30), 61.0)}

    for name, text in {
        "topology/nodes/0/gpu_id": "0",
        "topology/nodes/1/gpu_id": "5095",
        "topology/nodes/1/properties": "simd_count 256\ndomain 0\nlocation_id 768",
        "proc/4711/vram_5095": str(3 << 30),
        "proc/4712/vram_5095": "0",
        "proc/4713/pasid": "32771",
    }.items():
        (tmp_path / "kfd" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kfd" / name).write_text(f"{text}\n")

    (read,) = DrmSource(drm, tmp_path / "kfd").read().values()
    assert read == GpuReading(37.0, float(4 << 30), 61.0, (GpuUser(4711, 3 << 30),))
