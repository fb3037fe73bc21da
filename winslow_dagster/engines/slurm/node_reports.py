"""What agents have said of their nodes: the GPUs, and what is in use, now and over time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from winslow_dagster.engines import usage_history
from winslow_dagster.engines.engine import GpuUsage, NodeUsage, Span, UsageHistory
from winslow_dagster.engines.gpu_processes import write_processes
from winslow_dagster.engines.gpu_readings import GPU_FIELDS
from winslow_dagster.engines.slurm.gpu_memory import least_memory, may_be_too_small
from winslow_dagster.engines.usage_rings import RingWriter
from winslow_dagster.engines.usage_sampler import (
    MOST_GPUS,
    NODE_FIELDS,
    NODE_SERIES,
    gpu_series,
    processes_file,
    usage_dir,
)
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.settings import NodeSettings
from winslow_dagster.stages.gpu_allocator import read_node_gpus, write_node_gpus
from winslow_dagster.stages.task.directory import read_value, write_quickly
from winslow_dagster.stages.task.model import NodeGpu

CURRENT_S = 60.0
"""How old what is in use may be and still count as present."""
SAMPLE_HOLDS_S = 20
"""Agents report what is in use every ten to fifteen seconds. A report counts for the time since the one before it."""
UNKNOWN = math.nan


class NodeReports:
    """A directory per node in the home."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rings: dict[tuple[str, str], tuple[RingWriter, int]] = {}
        """By node and series: what writes its curves, and the second of its last sample."""
        self._writing = threading.Lock()

    def write_gpus(self, node: str, gpus: Sequence[NodeGpu]) -> None:
        """Store the GPUs of a node."""
        if gpus and self.gpus(node) != tuple(gpus):
            write_node_gpus(self._directory / node, gpus)

    def gpus(self, node: str) -> tuple[NodeGpu, ...]:
        """The GPUs of a node; none if no agent has said so."""
        return read_node_gpus(self._directory / node)

    def too_small(self, node: str, gpu: Gpu) -> bool:
        """Whether a job there is known to be able to get a GPU with too little memory: Slurm only counts GPUs."""
        return may_be_too_small(least_memory(self.gpus(node)), gpu)

    def write_usage(self, node: str, usage: NodeUsage) -> None:
        """Store what is in use on a node. Each of its agents says it of the GPUs that its own stage has."""
        (self._directory / node).mkdir(parents=True, exist_ok=True)
        own = usage.model_copy(update={"gpus": ()})
        write_quickly(self._directory / node / "usage.json", own.model_dump_json())
        now_s, known = int(time.time()), {gpu.uuid for gpu in self.gpus(node)[:MOST_GPUS]}
        with self._writing:
            self._add_sample(node, NODE_SERIES, sample_of(usage), now_s)
            for gpu in usage.gpus:
                if gpu.uuid in known:
                    self._add_sample(node, gpu_series(gpu.uuid), sample_of_gpu(gpu), now_s)
                    if gpu.processes is not None:
                        write_processes(processes_file(usage_dir(self._place(node)), gpu.uuid), gpu.processes)

    def history(self, node: str, span: Span, points: int) -> UsageHistory:
        """What was in use on a node while stages ran there, and of each GPU while a stage had it."""
        return usage_history.history(self._place(node), node, self.gpus(node), span, points)

    def gpu_usage(self, node: str, gpus: Collection[str], since: datetime, until: datetime) -> UsageHistory:
        """What was in use of GPUs of a node between two moments."""
        return usage_history.of_gpus(self._place(node), node, gpus, since, until)

    def _add_sample(self, node: str, series: str, values: tuple[float, ...], now_s: int) -> None:
        rings, last_s = self._rings.get((node, series), (None, 0))
        if rings is None:
            rings = RingWriter(usage_dir(self._place(node)), series, len(values))
        for at_s in range(max(last_s + 1, now_s - SAMPLE_HOLDS_S + 1), now_s + 1):
            rings.write(at_s, values)
        self._rings[node, series] = rings, now_s

    def _place(self, node: str) -> NodeSettings:
        return NodeSettings(node_dir=self._directory / node)

    def current_usage(self) -> tuple[NodeUsage, ...]:
        """What is in use on each node whose agents have said so recently, by name."""
        files = sorted(self._directory.glob("*/usage.json"))
        present = (file for file in files if time.time() - file.stat().st_mtime < CURRENT_S)
        found = ((file.parent.name, read_value(file, NodeUsage)) for file in present)
        return tuple(
            usage.model_copy(update={"gpus": self._gpus_now(node)}) for node, usage in found if usage is not None
        )

    def _gpus_now(self, node: str) -> tuple[GpuUsage, ...]:
        return usage_history.gpus_now(self._place(node), self.gpus(node), SAMPLE_HOLDS_S)


def sample_of(usage: NodeUsage) -> tuple[float, ...]:
    """What is in use on a node, as its curves have it."""
    known = usage.model_dump() | {"disk_used_bytes": usage.disk_total_bytes - usage.disk_free_bytes}
    return _sample(known, NODE_FIELDS)


def sample_of_gpu(usage: GpuUsage) -> tuple[float, ...]:
    """What is in use of a GPU, as its curves have it."""
    return _sample(usage.model_dump(), GPU_FIELDS)


def _sample(known: Mapping[str, Any], names: Sequence[str]) -> tuple[float, ...]:
    return tuple(UNKNOWN if (value := known[name]) is None else float(value) for name in names)
