"""What agents have said of their nodes: the GPUs, and what is in use, now and over time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from winslow_dagster.engines.engine import NodeUsage, Span, UsageHistory
from winslow_dagster.engines.usage_history import history
from winslow_dagster.engines.usage_rings import RingWriter
from winslow_dagster.engines.usage_sampler import NODE_FIELDS, NODE_SERIES, usage_dir
from winslow_dagster.pipelines.model.pipeline import Gpu
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
        self._rings: dict[str, tuple[RingWriter, int]] = {}
        """By node: what writes its curves, and the second of its last sample."""
        self._writing = threading.Lock()

    def write_gpus(self, node: str, gpus: Sequence[NodeGpu]) -> None:
        """Store the GPUs of a node."""
        if gpus and self.gpus(node) != tuple(gpus):
            write_node_gpus(self._directory / node, gpus)

    def gpus(self, node: str) -> tuple[NodeGpu, ...]:
        """The GPUs of a node; none if no agent has said so."""
        return read_node_gpus(self._directory / node)

    def too_small(self, node: str, gpu: Gpu) -> bool:
        """Whether the node is known to have too few GPUs with as much memory: Slurm only counts GPUs."""
        least_bytes, known = gpu.memory_bytes, self.gpus(node)
        if not least_bytes or not known:
            return False
        enough = [one for one in known if one.memory_bytes >= least_bytes and gpu.vendor in {None, one.vendor}]
        return len(enough) < gpu.count

    def write_usage(self, node: str, usage: NodeUsage) -> None:
        """Store what is in use on a node."""
        (self._directory / node).mkdir(parents=True, exist_ok=True)
        write_quickly(self._directory / node / "usage.json", usage.model_dump_json())
        with self._writing:
            self._add_sample(node, usage, int(time.time()))

    def history(self, node: str, span: Span, points: int) -> UsageHistory:
        """What was in use on a node while stages ran there. Of its GPUs, nothing is known."""
        return history(self._place(node), node, (), span, points)

    def _add_sample(self, node: str, usage: NodeUsage, now_s: int) -> None:
        rings, last_s = self._rings.get(node, (None, 0))
        if rings is None:
            rings = RingWriter(usage_dir(self._place(node)), NODE_SERIES, len(NODE_FIELDS))
        for at_s in range(max(last_s + 1, now_s - SAMPLE_HOLDS_S + 1), now_s + 1):
            rings.write(at_s, sample_of(usage))
        self._rings[node] = rings, now_s

    def _place(self, node: str) -> NodeSettings:
        return NodeSettings(node_dir=self._directory / node)

    def current_usage(self) -> tuple[NodeUsage, ...]:
        """What is in use on each node whose agents have said so recently, by name."""
        files = sorted(self._directory.glob("*/usage.json"))
        present = (file for file in files if time.time() - file.stat().st_mtime < CURRENT_S)
        return tuple(usage for file in present if (usage := read_value(file, NodeUsage)) is not None)


def sample_of(usage: NodeUsage) -> tuple[float, ...]:
    """What is in use, as the curves have it."""
    known = usage.model_dump() | {"disk_used_bytes": usage.disk_total_bytes - usage.disk_free_bytes}
    return tuple(UNKNOWN if (value := known[name]) is None else float(value) for name in NODE_FIELDS)
