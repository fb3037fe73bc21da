"""How much memory the GPUs of a node have, as features of it: Slurm itself only counts GPUs by vendor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.stages.task.model import NodeGpu

MIB = 1 << 20
FEATURE = re.compile(r"winslow\.(?P<vendor>[a-z]+)\.(?P<mib>[0-9]+)MiB")

LeastMemory = Mapping[str, int]
"""By vendor: the bytes of its smallest GPU on a node. A job may be given any."""


def least_memory(gpus: Iterable[NodeGpu]) -> LeastMemory:
    """That of these GPUs."""
    found: dict[str, int] = {}
    for gpu in gpus:
        found[gpu.vendor] = min(gpu.memory_bytes, found.get(gpu.vendor, gpu.memory_bytes))
    return found


def features_of(memory: LeastMemory) -> tuple[str, ...]:
    """The features by which a node says it."""
    return tuple(f"winslow.{vendor}.{size_bytes // MIB}MiB" for vendor, size_bytes in sorted(memory.items()))


def in_features(features: Iterable[str]) -> tuple[LeastMemory, tuple[str, ...]]:
    """What features say of it, and the other features."""
    memory, others = {}, []
    for feature in features:
        if found := FEATURE.fullmatch(feature):
            memory[found["vendor"]] = int(found["mib"]) * MIB
        else:
            others.append(feature)
    return memory, tuple(others)


def may_be_too_small(memory: LeastMemory, gpu: Gpu) -> bool:
    """Whether a job that asks for such a GPU could get one with too little memory. False where nothing is known."""
    suitable = [size_bytes for vendor, size_bytes in memory.items() if gpu.vendor in {None, vendor}]
    return bool(gpu.memory_bytes and suitable) and min(suitable) // MIB < (gpu.memory_bytes or 0) // MIB
