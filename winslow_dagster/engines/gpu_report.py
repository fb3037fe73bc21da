"""What a look for GPUs finds."""

from __future__ import annotations

from dataclasses import dataclass

from winslow_dagster.stages.task.model import NodeGpu


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The GPUs that were found, and why others were not or cannot be used."""

    gpus: tuple[NodeGpu, ...] = ()
    notes: tuple[str, ...] = ()
