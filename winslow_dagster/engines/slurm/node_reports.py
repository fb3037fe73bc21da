"""What agents have said of their nodes: the GPUs, and what is in use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from winslow_dagster.engines.engine import NodeUsage
from winslow_dagster.pipelines.model.pipeline import Gpu
from winslow_dagster.stages.gpu_allocator import read_node_gpus, write_node_gpus
from winslow_dagster.stages.task.directory import read_value, write_quickly
from winslow_dagster.stages.task.model import NodeGpu

CURRENT_S = 60.0
"""How old what is in use may be and still count as present."""


class NodeReports:
    """A directory per node in the home."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

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

    def current_usage(self) -> tuple[NodeUsage, ...]:
        """What is in use on each node whose agents have said so recently, by name."""
        files = sorted(self._directory.glob("*/usage.json"))
        present = (file for file in files if time.time() - file.stat().st_mtime < CURRENT_S)
        return tuple(usage for file in present if (usage := read_value(file, NodeUsage)) is not None)
