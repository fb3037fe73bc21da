"""What sampling this machine costs: processor time of its thread, and the files of a year, with four GPUs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from winslow_dagster.engines.gpu_readings import GpuReader, GpuReading, Readings
from winslow_dagster.engines.usage_rings import LEVELS
from winslow_dagster.engines.usage_sampler import UsageSampler, usage_dir
from winslow_dagster.settings import NodeSettings

GPUS = 4
WATCHED_S = 60.0
GOAL_PERCENT = 0.5
GOAL_MB = 50


class FourGpus:
    """A driver that answers at once."""

    def read(self) -> Readings:
        return {f"GPU-{number:08x}-0000-4000-8000-000000000000": GpuReading(50.0, 1e9, 60.0) for number in range(GPUS)}


def figures() -> Iterator[Figure]:
    """The files have their full size as soon as the last row of each ring has been written."""
    with tempfile.TemporaryDirectory() as directory:
        node = NodeSettings(node_dir=Path(directory))
        sampler = UsageSampler(node, GpuReader((FourGpus(),)))
        sampler.start()
        time.sleep(5)
        before_s, began_s = sampler.processor_s, time.monotonic()
        time.sleep(WATCHED_S)
        percent = 100 * (sampler.processor_s - before_s) / (time.monotonic() - began_s)
        sampler.stop()
        for level in LEVELS:
            sampler.sample(level.step_s * (level.rows - 1))
        size_mb = sum(file.stat().st_size for file in usage_dir(node).iterdir()) / 1e6
    yield Figure("sampler_processor", round(percent, 3), "% of a core", f"<= {GOAL_PERCENT}", percent <= GOAL_PERCENT)
    yield Figure("sampler_files_of_a_year", round(size_mb, 1), "MB", f"<= {GOAL_MB}", size_mb <= GOAL_MB)
